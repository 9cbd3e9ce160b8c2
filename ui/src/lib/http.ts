/** Asks the relay that served the page, and listens to it with the browser's own EventSource. */
import type { CircleState } from '../generated/CircleState';
import type { Devices } from '../generated/Devices';
import type { Invite } from '../generated/Invite';
import type { Invites } from '../generated/Invites';
import type { InvitePreview } from '../generated/InvitePreview';
import type { Me } from '../generated/Me';
import type { Members } from '../generated/Members';
import type { People } from '../generated/People';
import type { Update } from '../generated/Update';
import type { Circles } from './circles';
import { failure, isFailure, words } from './failure';
import { Backoff } from './http/backoff';
import { Campus } from './http/campus';
import { newId, newToken } from './http/ids';
import { countUnsent, type Entry, type Work } from './http/outbox';
import { isPassing, request } from './http/request';
import { codeOf, linkInAddress } from './invite';

const WEEK_S = 7 * 24 * 3_600;
const INVITE_USES = 100;
const PEOPLE_MAX = 500;

export function httpCircles(): Circles {
  const listeners = new Set<(update: Update) => void>();
  const emit = (update: Update): void => listeners.forEach((listen) => listen(update));
  let opened: Campus | null = null;

  const campus = (): Campus => {
    if (!opened) throw failure('not_found', 'No campus is open.');
    return opened;
  };
  let opening: Promise<Campus> | null = null;
  const retrying = new Backoff();

  async function open(): Promise<Campus | null> {
    if (opened) return opened;
    // Asked twice in the meantime, it is still one campus with one stream.
    opening ??= request<Me>('GET', '/me')
      .then((me) => (opened = new Campus(me, emit)))
      .finally(() => (opening = null));
    try {
      const campus = await opening;
      retrying.reset();
      return campus;
    } catch (error) {
      if (!isFailure(error)) throw error;
      if (error.code === 'unauthorized') return null;
      if (!isPassing(error.code)) throw error;
      retrying.later(comeBack);
      throw failure('relay_away', `${words(error)} Circles goes on trying by itself.${unsentWords()}`);
    }
  }
  const comeBack = (): void => emit({ update: 'campuses' });
  const again = (): void => {
    if (document.visibilityState !== 'visible') return;
    if (opened?.connection.state === 'offline') opened.reconnect();
    if (!retrying.waiting) return;
    retrying.reset();
    comeBack();
  };
  window.addEventListener('online', again);
  document.addEventListener('visibilitychange', again);

  function queue(circle: string, message: string, work: Work): Entry {
    const entry = campus().outbox.add({ circle, message, work, written_at: Date.now() });
    campus().changed(circle, [message]);
    return entry;
  }
  const elsewhere = (): Promise<never> => Promise.reject(failure('not_found', 'Only the app can do that.'));

  return {
    can: { host: false, severalCampuses: false, search: false },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    onInvite(listener) {
      const link = linkInAddress();
      if (link) listener(link);
      return () => undefined;
    },
    onNoticeClicked: () => () => undefined,
    campuses: async () => {
      const known = await open();
      return known ? [known.view()] : [];
    },
    async previewInvite(link) {
      const preview = await request<InvitePreview>('POST', '/invites/preview', { code: needCode(link) });
      const { campus_name, circle_name, invited_by, person } = preview;
      return { campus_name, circle_name, invited_by, relay: location.origin, person_name: person?.name ?? null };
    },
    async join(link, name) {
      const code = needCode(link);
      await request('POST', '/join', { code, name, device_name: deviceName(), ...joinIds(code) });
      sessionStorage.removeItem(JOIN);
      opened?.stop();
      opened = null;
      const joined = await open();
      if (!joined) throw failure('unauthorized', 'The browser did not keep the cookie of the relay.');
      return joined.view();
    },
    host: elsewhere,
    demo: elsewhere,
    hosts: async () => [],
    setLan: elsewhere,
    nearby: async () => [],
    doctor: elsewhere,
    drawQr: elsewhere,
    async leaveCampus() {
      const { devices } = await request<Devices>('GET', '/devices');
      const mine = devices.find((device) => device.this);
      if (mine) await request('DELETE', `/devices/${mine.id}`);
      campus().stop();
      opened = null;
      for (const key of Object.keys(localStorage)) if (key.startsWith('circles.')) localStorage.removeItem(key);
    },
    reconnect: async () => campus().reconnect(),
    // The browser keeps no history: it has nothing that the relay could lose.
    putNoticesAside: async () => undefined,
    kept: async () => [],
    stranded: async () => campus().stranded(),
    status: async () => [],

    editProfile: async (_, name, hue) => void (await request('PATCH', '/me', { name, hue })),
    devices: async () => (await request<Devices>('GET', '/devices')).devices,
    revokeDevice: (_, device) => request('DELETE', `/devices/${device}`),
    async createInvite(_, circle_id, device) {
      const max_uses = device ? 1 : INVITE_USES;
      const invite = await request<Invite>('POST', '/invites', {
        id: newId(),
        circle_id,
        device,
        max_uses,
        life_s: WEEK_S,
      });
      const { id, expires_at } = invite;
      // A short code needs an app that looks for the relay, so this page has none to show.
      return { id, link: invite.link ?? '', short_code: null, expires_at, max_uses: invite.max_uses };
    },

    async invites() {
      const { invites } = await request<Invites>('GET', '/invites');
      return invites.filter((it) => it.revoked_at === null && it.uses < it.max_uses && it.expires_at > Date.now());
    },
    revokeInvite: (_, invite) => request('DELETE', `/invites/${invite}`),

    circles: async () => campus().circles(),
    async createCircle(_, name, topic, access) {
      return campus().accept(await request<CircleState>('POST', '/circles', { id: newId(), name, topic, access }));
    },
    editCircle: async (_, circle, name, topic) => void (await request('PATCH', `/circles/${circle}`, { name, topic })),
    joinCircle: async (_, circle) => {
      campus().accept(await request<CircleState>('POST', `/circles/${circle}/join`));
    },
    leaveCircle: async (_, circle) => {
      campus().accept(await request<CircleState>('POST', `/circles/${circle}/leave`));
    },
    setMuted: async (_, circle, on) => campus().setMuted(circle, on),
    async people(_, circle, query) {
      const wanted = query.toLocaleLowerCase();
      const found = circle ? await members(circle) : await everyone();
      return found.filter((person) => person.name.toLocaleLowerCase().includes(wanted)).slice(0, PEOPLE_MAX);
    },
    addMember: async (_, circle, person_id) =>
      void (await request('POST', `/circles/${circle}/members`, { person_id })),
    removeMember: async (_, circle, person) => void (await request('DELETE', `/circles/${circle}/members/${person}`)),
    focus: async () => undefined,
    presence: (_, circle) => campus().presence(circle),

    timeline: (_, circle, anchor, limit) => campus().timeline(circle, anchor, limit),
    fill: (_, circle, from, to) => campus().fill(circle, from, to),
    search: elsewhere,
    firstSince: (_, circle, at) => campus().firstSince(circle, at),
    async send(_, circle, text, reply_to) {
      campus().types(circle, false);
      const entry = queue(circle, newId(), { op: 'post', text, reply_to });
      campus().emptyDraft(circle);
      return campus().written(entry);
    },
    async edit(_, circle, message, text) {
      if (campus().outbox.rewrite(message, text)) campus().changed(circle, [message]);
      else queue(circle, message, { op: 'edit', text });
    },
    async delete(_, circle, message) {
      if (campus().outbox.withdraw(message)) campus().changed(circle, [message]);
      else queue(circle, message, { op: 'delete' });
    },
    react: async (_, circle, message, emoji, on) => void queue(circle, message, { op: 'react', emoji, on }),
    async retry(_, circle, message) {
      campus().outbox.retry(message);
      campus().changed(circle, [message]);
    },
    async discard(_, circle, message) {
      if (!campus().outbox.withdraw(message)) campus().outbox.discard(message);
      campus().changed(circle, [message]);
    },
    markRead: async (_, circle, seq) => campus().markRead(circle, seq),
    draft: async (_, circle) => campus().draft(circle),
    setDraft: async (_, circle, draft) => campus().setDraft(circle, draft),
    typing: async (_, circle, on) => campus().types(circle, on),
  };
}

async function members(circle: string) {
  const { members } = await request<Members>('GET', `/circles/${circle}/members?limit=${PEOPLE_MAX}`);
  return members.map(({ person, membership }) => ({ ...person, role: membership.role }));
}

async function everyone() {
  return (await request<People>('GET', `/people?limit=${PEOPLE_MAX}`)).people;
}

function unsentWords(): string {
  const unsent = countUnsent(localStorage);
  if (unsent === 0) return '';
  return unsent === 1
    ? ' 1 message that you wrote waits in this browser and goes out then.'
    : ` ${unsent} messages that you wrote wait in this browser and go out then.`;
}

function needCode(link: string): string {
  const code = codeOf(link);
  if (!code) throw failure('invite_link', 'This is not an invite link.');
  return code;
}

const JOIN = 'circles.join';

/** The ids of a join are kept until it is answered, so that a repeated one is the same join. */
function joinIds(code: string): { person_id: string; device_id: string; token: string } {
  const kept = JSON.parse(sessionStorage.getItem(JOIN) ?? 'null') as {
    code: string;
    ids: ReturnType<typeof joinIds>;
  } | null;
  if (kept?.code === code) return kept.ids;
  const ids = { person_id: newId(), device_id: newId(), token: newToken() };
  sessionStorage.setItem(JOIN, JSON.stringify({ code, ids }));
  return ids;
}

function deviceName(): string {
  const browser = navigator.userAgent.match(/(Firefox|Edg|Chrome|Safari)\//)?.[1] ?? 'Browser';
  const system = navigator.userAgent.match(/\((?:X11; )?(\w+)/)?.[1] ?? '';
  return `${browser === 'Edg' ? 'Edge' : browser}${system ? ` on ${system}` : ''}`;
}
