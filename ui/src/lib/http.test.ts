import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CircleState } from '../generated/CircleState';
import type { Me } from '../generated/Me';
import type { Update } from '../generated/Update';
import { FakeLocks } from '../test/tabs';
import { FakeSource } from '../test/events';
import type { Circles } from './circles';
import { httpCircles } from './http';

const circle = (head_seq: number, read_seq: number): CircleState => ({
  circle: { id: 'a', name: 'General', topic: '', access: 'open', created_at: 0, version: 1 },
  membership: { circle_id: 'a', person_id: 'me', state: 'joined', role: 'member', version: 2 },
  members: 2,
  head_seq,
  read_seq,
  unread: head_seq - read_seq,
  last: null,
  last_author: null,
  pos: 9,
}) as unknown as CircleState; // prettier-ignore
const me = (cursor: string) =>
  ({
    campus_id: 'campus',
    campus_name: 'Nordhaus',
    cursor,
    person: { id: 'me', name: 'Mira', hue: 1, role: 'member', version: 1 },
    device_id: 'd',
    circles: [circle(9, 4)],
  }) as unknown as Me;

let sources: FakeSource[];
let relay: ReturnType<typeof vi.fn<(path: string, init: RequestInit) => Promise<Response>>>;
let circles: Circles;
let updates: Update[];

const json = (status: number, body: unknown = {}) =>
  Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } }));
const down = () => Promise.reject(new TypeError('no network'));
const asked = (path: string) => relay.mock.calls.filter(([asked]) => asked === `/v1${path}`).length;
const source = (i: number) => sources[i] ?? expect.fail(`no stream ${i}`);
const connection = async () => (await circles.campuses())[0]?.connection;
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  localStorage.clear();
  sources = [];
  updates = [];
  relay = vi.fn(() => json(200, me('e.9')));
  vi.stubGlobal('fetch', relay);
  vi.stubGlobal('EventSource', function open(url: string) {
    sources.push(new FakeSource(url));
    return sources.at(-1);
  });
  Object.defineProperty(navigator, 'locks', { configurable: true, value: new FakeLocks().of('one') });
  circles = httpCircles();
  circles.subscribe((update) => updates.push(update));
});
afterEach(async () => {
  relay.mockImplementation(() => json(200, { devices: [] }));
  await circles.leaveCampus('campus').catch(() => undefined);
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('a page opened while the relay is down', () => {
  beforeEach(() => relay.mockImplementation(down));

  it('comes up by itself when the relay is back, asking less and less often', async () => {
    circles.subscribe((update) => {
      if (update.update === 'campuses') circles.campuses().catch(() => undefined);
    });
    await expect(circles.campuses()).rejects.toMatchObject({ code: 'relay_away' });
    await wait(3_600);
    expect(asked('/me')).toBe(4);
    await wait(60_000);
    expect(asked('/me')).toBe(8);
    relay.mockImplementation(() => json(200, me('e.9')));
    await wait(30_000);
    expect(sources).toHaveLength(1);
    expect(await circles.campuses()).toHaveLength(1);
  });

  it('says how many messages wait in this browser', async () => {
    const work = { op: 'post', text: 'hi', reply_to: null };
    localStorage.setItem('circles.outbox.campus.1', JSON.stringify({ key: '1', work }));
    await expect(circles.campuses()).rejects.toMatchObject({ message: expect.stringContaining('1 message that you') });
  });

  it('opens one stream, however often it is asked meanwhile', async () => {
    relay.mockImplementation(() => json(200, me('e.9')));
    await Promise.all([circles.campuses(), circles.campuses()]);
    expect(sources).toHaveLength(1);
  });
});

describe('after a gap', () => {
  beforeEach(async () => {
    await circles.campuses();
    source(0).say('hello', {}, 'e.9');
    relay.mockClear();
    relay.mockImplementation(() => json(503, { code: 'store_unavailable' }));
    source(0).say('gap', { after: 9, until: 2_000, scopes: [] }, 'e.2000');
    await wait(0);
  });

  it('a snapshot that cannot be had is asked for less and less often, and no stream is opened meanwhile', async () => {
    expect(asked('/me')).toBe(1);
    expect(await connection()).toMatchObject({ state: 'offline', problem: 'relay_unavailable' });
    await wait(500);
    expect(asked('/me')).toBe(2);
    await wait(900);
    expect(asked('/me')).toBe(2);
    await wait(60_000);
    expect(asked('/me')).toBe(8);
    expect(sources).toHaveLength(1);
  });

  it('everything goes on from the snapshot once it is there', async () => {
    relay.mockImplementation(() => json(200, me('e.2500')));
    await wait(500);
    expect(source(1).url).toContain('e.2500');
    source(1).say('hello', {}, 'e.2500');
    expect(await connection()).toMatchObject({ state: 'online' });
    await wait(40_000);
    expect(asked('/me')).toBe(2);
  });

  it('the person’s wish to try now is followed at once', async () => {
    await wait(10_000);
    const before = asked('/me');
    await circles.reconnect('campus');
    expect(asked('/me')).toBe(before + 1);
  });

  it('a relay that tells of a gap again and again is not asked again and again', async () => {
    relay.mockImplementation(() => json(200, me('e.2500')));
    await wait(500);
    for (let i = 1; i <= 20 && sources[i]; i++) {
      source(i).say('reset', {});
      await wait(100);
    }
    expect(asked('/me')).toBe(2);
  });

  it('being signed out ends it', async () => {
    relay.mockImplementation(() => json(401, { code: 'unauthorized' }));
    await wait(60_000);
    expect(asked('/me')).toBe(2);
    expect(await connection()).toEqual({ state: 'signed_out' });
  });
});

describe('another tab', () => {
  const hear = (key: string, value: string | null): void => {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    window.dispatchEvent(new StorageEvent('storage', { key, storageArea: localStorage }));
  };
  const key = 'circles.outbox.campus.1';

  beforeEach(async () => {
    const locks = new FakeLocks();
    void locks.of('other').request('turn', {}, () => new Promise(() => undefined));
    Object.defineProperty(navigator, 'locks', { configurable: true, value: locks.of('one') });
    await circles.campuses();
    updates.length = 0;
  });

  it('wrote a message: it is shown, and gone when that tab gave it up', () => {
    const work = { op: 'post', text: 'hi', reply_to: null };
    hear(key, JSON.stringify({ key: '1', circle: 'a', message: 'm', work, written_at: 1 }));
    expect(updates).toContainEqual(
      expect.objectContaining({ update: 'messages', messages: [expect.objectContaining({ id: 'm', text: 'hi' })] }),
    );
    updates.length = 0;
    hear(key, null);
    expect(updates).toContainEqual(expect.objectContaining({ update: 'messages', messages: [], discarded: ['m'] }));
  });

  it('sends what is written here', async () => {
    const sent = await circles.send('campus', 'a', 'hello', null);
    expect(sent).toMatchObject({ text: 'hello', seq: null, delivery: { state: 'queued' } });
    expect(relay.mock.calls.filter(([, init]) => init.method === 'POST')).toEqual([]);
  });

  it('finds no draft any more of what was sent here', async () => {
    const draft = { text: 'hello', reply_to: null, editing: null };
    await circles.setDraft('campus', 'a', draft);
    await circles.send('campus', 'a', 'hello', null);
    expect(await circles.draft('campus', 'a')).toMatchObject({ text: '' });
    expect(localStorage.getItem('circles.draft.campus.a')).toBeNull();
  });

  it('is told when this one sees the relay again', () => {
    source(0).say('hello', {}, 'e.9');
    expect(localStorage.getItem('circles.nudge.campus')).not.toBeNull();
  });
});

describe('what the relay refuses', () => {
  const unsent = async () =>
    (await circles.timeline('campus', 'a', { at: 'latest' }, 1)).unsent.map(({ delivery }) => delivery);
  const texts = ['one', 'two'];

  beforeEach(async () => {
    await circles.campuses();
    relay.mockImplementation((_, init) =>
      init.method === 'POST'
        ? json(400, { code: 'invalid_body', detail: 'too long' })
        : json(200, { messages: [], people: [], context: [], reactions: [] }),
    );
  });

  it('holds up the messages after it, which say so until it is given up', async () => {
    for (const text of texts) await circles.send('campus', 'a', text, null);
    await wait(0);
    const [first, second] = await unsent();
    expect(first).toMatchObject({ state: 'failed', what: 'post' });
    expect(second?.state).toBe('blocked');
    expect(updates).toContainEqual({ update: 'timeline', campus_id: 'campus', circle_id: 'a' });
    relay.mockImplementation(down);
    updates.length = 0;
    await circles.discard('campus', 'a', second?.state === 'blocked' ? second.by : '');
    expect((await unsent()).map(({ state }) => state)).not.toContain('blocked');
    expect(updates).toContainEqual({ update: 'timeline', campus_id: 'campus', circle_id: 'a' });
  });
});

describe('what was not sent in a circle that closed to one', () => {
  it('is told with the campus, until it is given up', async () => {
    await circles.campuses();
    source(0).say('hello', {}, 'e.9');
    relay.mockImplementation((_, init) =>
      init.method === 'POST' ? json(403, { code: 'not_member', detail: 'no' }) : json(200, { circles: [] }),
    );
    const entity = { kind: 'membership', circle_id: 'a', person_id: 'me', state: 'removed', version: 10 };
    source(0).say('change', { pos: 10, prev: 9, scope: 'circle:a', entity }, 'e.10');
    await wait(300);
    await circles.send('campus', 'a', 'an hour of work', null);
    await wait(0);
    const stranded = () => circles.stranded('campus');
    expect(await stranded()).toMatchObject([{ circle_id: 'a', what: 'post', text: 'an hour of work' }]);
    expect((await stranded())[0]?.reason).not.toBeNull();
    const told = updates.findLast(({ update }) => update === 'campus');
    expect(told).toMatchObject({ campus: { stranded: 1 } });
    await circles.discard('campus', 'a', (await stranded())[0]?.message_id ?? '');
    expect(await stranded()).toEqual([]);
    expect(updates.findLast(({ update }) => update === 'campus')).toMatchObject({ campus: { stranded: 0 } });
  });
});

describe('what was read while offline', () => {
  beforeEach(async () => {
    await circles.campuses();
    relay.mockImplementation(down);
  });

  it('counts as read here, is kept, and reaches the relay later', async () => {
    await circles.markRead('campus', 'a', 7);
    expect((await circles.circles('campus'))[0]).toMatchObject({ read_seq: 7, unread: 2 });
    await wait(0);
    expect(localStorage.getItem('circles.read.campus.a')).toBe('7');
    relay.mockImplementation(() => json(200, { circles: [circle(9, 7)] }));
    await wait(1_000);
    expect(asked('/circles/a/read')).toBeGreaterThan(1);
    expect(localStorage.getItem('circles.read.campus.a')).toBeNull();
    expect((await circles.circles('campus'))[0]?.read_seq).toBe(7);
  });

  it('is unread again if the relay refuses it', async () => {
    relay.mockImplementation(() => json(400, { code: 'invalid_body' }));
    await circles.markRead('campus', 'a', 7);
    await wait(0);
    expect((await circles.circles('campus'))[0]).toMatchObject({ read_seq: 4, unread: 5 });
  });
});

describe('what is told in passing', () => {
  const ada = { circle_id: 'a', person_id: 'ada', on: true };
  const member = { person: { id: 'ada', name: 'Ada', hue: 2, role: 'member', version: 3 }, membership: {} };
  const of = (kind: Update['update']) => updates.filter(({ update }) => update === kind);
  const last = (kind: Update['update']) => of(kind).at(-1);

  beforeEach(async () => {
    relay.mockImplementation((path) => {
      if (path.endsWith('/members')) return json(200, { members: [member], next: null });
      if (path.includes('/presence?after=ada')) return json(200, { online: ['me'], next: null });
      if (path.includes('/presence')) return json(200, { online: ['ada'], next: 'ada' });
      return json(200, me('e.9'));
    });
    await circles.campuses();
    source(0).say('hello', {}, 'e.9');
    updates.length = 0;
  });

  it('is shown with a name, without oneself, and expires', async () => {
    source(0).say('typing', { ...ada, person_id: 'me' });
    expect(of('typing')).toEqual([]);
    source(0).say('typing', ada);
    await wait(0);
    expect(last('typing')).toMatchObject({ circle_id: 'a', people: [{ id: 'ada', name: 'Ada' }] });
    await wait(6_000);
    expect(last('typing')).toMatchObject({ people: [] });
  });

  it('is over with the message that was typed', () => {
    source(0).say('typing', ada);
    const message = { kind: 'message', id: 'm', circle_id: 'a', seq: 10, author_id: 'ada', text: 'hi', version: 10 };
    source(0).say('change', { pos: 10, entity: { ...message, created_at: 1, deleted_at: null } }, 'e.10');
    expect(last('typing')).toMatchObject({ people: [] });
  });

  it('keeps a message that came while an older list of the circles was under way', async () => {
    const message = { kind: 'message', id: 'm', circle_id: 'a', seq: 10, author_id: 'ada', text: 'hi', version: 10 };
    source(0).say('change', { pos: 10, entity: { ...message, created_at: 1, deleted_at: null } }, 'e.10');
    // Its author was not known, so the list is asked for; the answer is of before.
    await wait(400);
    expect(asked('/circles')).toBe(1);
    expect((await circles.circles('campus'))[0]).toMatchObject({ head_seq: 10, unread: 6 });
  });

  it('gives a message its author, also when another one follows at once', async () => {
    const message = { kind: 'message', circle_id: 'a', created_at: 1, deleted_at: null };
    const first = { ...message, id: 'm', seq: 10, author_id: 'ada', text: 'hi', version: 10 };
    const next = { ...message, id: 'n', seq: 11, author_id: 'me', text: 'hello', version: 11 };
    source(0).say('change', { pos: 10, entity: first }, 'e.10');
    source(0).say('change', { pos: 11, entity: next }, 'e.11');
    await wait(0);
    expect(last('timeline')).toMatchObject({ circle_id: 'a' });
    source(0).say('typing', ada);
    expect(last('typing')).toMatchObject({ people: [{ id: 'ada', name: 'Ada' }] });
  });

  it('tells the relay that one types at most every three seconds, and of the end when it is sent', async () => {
    const says = () =>
      relay.mock.calls.filter(([path]) => path === '/v1/circles/a/typing').map(([, init]) => init.body as string);
    await circles.typing('campus', 'a', true);
    await circles.typing('campus', 'a', true);
    expect(says()).toEqual(['{"on":true}']);
    await circles.send('campus', 'a', 'hello', null);
    expect(says()).toEqual(['{"on":true}', '{"on":false}']);
  });

  it('says who is online, page by page, and anew after a stream that was lost', async () => {
    expect(await circles.presence('campus', 'a')).toEqual(['ada', 'me']);
    source(0).say('presence', { person_id: 'ada', online: false });
    expect(last('presence')).toMatchObject({ person_id: 'ada', online: false });
    source(0).say('typing', ada);
    source(0).readyState = 0;
    source(0).dispatchEvent(new Event('error'));
    expect(last('typing')).toMatchObject({ people: [] });
    expect(last('presence')).toMatchObject({ person_id: null, online: false });
    expect(await circles.presence('campus', 'a')).toEqual([]);
    await circles.typing('campus', 'a', true);
    expect(asked('/circles/a/typing')).toBe(0);
    await wait(1_000);
    source(1).say('hello', {}, 'e.9');
    expect(last('presence')).toMatchObject({ person_id: null, online: true });
    updates.length = 0;
    source(1).say('bye', { reason: 'lifetime', reconnect_ms: 0, closes_ms: 5_000 });
    await wait(0);
    source(2).say('hello', {}, 'e.9');
    expect(of('presence')).toEqual([]);
  });
});

describe('what the devices of one person agree on', () => {
  const drafted = (text: string, version: number) => ({
    pos: version,
    entity: {
      kind: 'draft',
      circle_id: 'a',
      person_id: 'me',
      text,
      reply_to: null,
      editing: null,
      changed_at: 1,
      version,
    },
  });
  const muted = (on: boolean, version: number, person_id = 'me') => ({
    pos: version,
    entity: { kind: 'mute', circle_id: 'a', person_id, on, changed_at: 1, version },
  });
  const view = async () => (await circles.circles('campus'))[0];
  const text = async () => (await circles.draft('campus', 'a')).text;

  beforeEach(async () => {
    await circles.campuses();
    source(0).say('hello', {}, 'e.9');
    updates.length = 0;
  });

  it('comes with the stream, and the newest is kept', async () => {
    source(0).say('change', muted(true, 11), 'e.11');
    source(0).say('change', muted(false, 10), 'e.10');
    source(0).say('change', muted(false, 12, 'somebody else'), 'e.12');
    expect(await view()).toMatchObject({ muted: true, draft: false });
    source(0).say('change', drafted('from the phone', 13), 'e.13');
    expect(updates.at(-1)).toEqual({ update: 'draft', campus_id: 'campus', circle_id: 'a' });
    expect([await text(), (await view())?.draft]).toEqual(['from the phone', true]);
    source(0).say('change', drafted('', 14), 'e.14');
    expect([await text(), (await view())?.draft]).toEqual(['', false]);
  });

  it('is as it was wanted here until the relay has it, also in another page', async () => {
    relay.mockImplementation(down);
    await circles.setDraft('campus', 'a', { text: 'typed here', reply_to: null, editing: null });
    await circles.setMuted('campus', 'a', true);
    source(0).say('change', drafted('older, from the phone', 11), 'e.11');
    expect([await text(), (await view())?.muted]).toEqual(['typed here', true]);
    relay.mockImplementation((path) => {
      if (path.endsWith('/draft')) return json(200, drafted('typed here', 12).entity);
      return path.endsWith('/mute') ? json(200, muted(true, 13).entity) : json(200, me('e.11'));
    });
    await wait(10_000);
    expect(Object.keys(localStorage).filter((key) => /draft|mute/.test(key))).toEqual([]);
    expect([await text(), (await view())?.muted]).toEqual(['typed here', true]);
  });
});
