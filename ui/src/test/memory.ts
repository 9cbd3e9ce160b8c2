/** A campus in memory, for tests and screenshots: deterministic, and told what to do by its methods. */
import type { CampusView } from '../generated/CampusView';
import type { CircleView } from '../generated/CircleView';
import type { DraftView } from '../generated/DraftView';
import type { Finding } from '../generated/Finding';
import type { HostView } from '../generated/HostView';
import type { MadeInviteView } from '../generated/MadeInviteView';
import type { MessageView } from '../generated/MessageView';
import type { NearbyView } from '../generated/NearbyView';
import type { PersonView } from '../generated/PersonView';
import type { SetAsideView } from '../generated/SetAsideView';
import type { StrandedView } from '../generated/StrandedView';
import type { Update } from '../generated/Update';
import type { Circles } from '../lib/circles';
import { failure } from '../lib/failure';
import { windowOf } from '../lib/http/timeline';
import chat from './chat.json';

const DAY_MS = 86_400_000;
const ME: PersonView = { id: 'me', name: 'Mira Okafor', hue: 172, role: 'owner' };

export class Memory implements Circles {
  readonly can = { host: true, severalCampuses: true, search: true };
  campus: CampusView | null = {
    id: 'campus',
    name: 'Nordhaus',
    relay: 'http://127.0.0.1:7420',
    me: ME,
    connection: { state: 'online', missing: 0 },
    hosted: true,
    token_place: 'keyring',
    renewal: null,
    kept: 0,
    stranded: 0,
    absence: null,
  };
  circle: CircleView;
  held: MessageView[];
  waiting: MessageView[] = [];
  filled: [number, number][] = [];
  private others: CircleView[];
  private drafts = new Map<string, DraftView>();
  private listeners = new Set<(update: Update) => void>();
  private ids = 0;

  constructor(now: number = Date.UTC(2026, 10, 24, 15, 0)) {
    const lines = chat.messages;
    const shift = now - 40 * 60_000 - Date.parse(lines.at(-1)?.at ?? '');
    const days = Math.floor(shift / DAY_MS) * DAY_MS;
    this.held = lines.map((line, i) => this.message(i + 1, line.from, line.text, Date.parse(line.at) + days));
    lines.forEach((line, i) => {
      const to = line.reply_to ? this.held[line.reply_to - 1] : undefined;
      const message = this.held[i];
      if (to && message && i % 4 === 0)
        message.reply = { id: to.id, seq: to.seq, author: to.author.name, text: to.text };
    });
    const react = (seq: number, emoji: string, names: string[], mine = false): void => {
      this.held[seq - 1]?.reactions.push({ emoji, count: names.length, mine, names });
    };
    react(76, '👍', ['ball', ME.name], true);
    react(76, '🦀', ['talchas', 'Jesin', 'ball']);
    react(72, '😂', ['ball']);
    this.circle = this.circleView('rust', 'Getting along with the borrow checker', 80, 74);
    this.others = [
      { ...this.circleView('General', 'Everything that concerns everyone', 412, 412), id: 'general' },
      { ...this.circleView('kitchen rota', '', 96, 95), id: 'kitchen', access: 'private', draft: true },
      {
        ...this.circleView('algorithms-ws26', 'Problem sheets, every Tuesday', 1204, 1180),
        id: 'algo',
        unread: 24,
        muted: true,
      },
      { ...this.circleView('bike workshop', 'Open on Thursdays from 18:00', 33, 33), id: 'bike' },
      { ...this.circleView('film club', 'One film a week', 8, 8), id: 'film', joined: false, role: null, last: null },
    ];
    const says = [
      'Aylin|The hall is booked for Friday.',
      'Jonas|who took the big pan??',
      'Tutor Lehmann|Sheet 5 is online, due next Tuesday.',
      'Sam|new chain fits, thanks!',
    ];
    says.forEach((line, i) => {
      const [author = '', text = ''] = line.split('|');
      const other = this.others[i];
      if (other) other.last = { author, mine: false, text, deleted: false, at: now - (i + 2) * 7 * 3_600_000 };
    });
  }

  message(seq: number | null, from: string, text: string, at: number): MessageView {
    const mine = from === ME.name;
    const hue = [...from].reduce((sum, sign) => (sum * 31 + sign.charCodeAt(0)) % 360, 7);
    const author: PersonView = mine ? ME : { id: from, name: from, hue, role: 'member' };
    const id = `message-${++this.ids}`;
    return {
      id, seq, author, mine, text, at, reply: null, reactions: [], written_at: null, edited: false, deleted: false,
      delivery: { state: seq === null ? 'queued' : 'sent' },
    }; // prettier-ignore
  }

  /** Somebody wrote. */
  arrive(from: string, text: string): MessageView {
    const message = this.message(this.circle.head_seq + 1, from, text, (this.held.at(-1)?.at ?? 0) + 1_000);
    this.held.push(message);
    this.circle = { ...this.circle, head_seq: this.circle.head_seq + 1, unread: this.circle.unread + 1 };
    this.tell([message]);
    return message;
  }

  tell(messages: MessageView[], discarded: string[] = []): void {
    this.emit({ update: 'messages', campus_id: 'campus', circle_id: this.circle.id, messages, discarded });
    this.emit({ update: 'circles', campus_id: 'campus', circles: [this.circle] });
  }

  emit(update: Update): void {
    for (const listener of this.listeners) listener(update);
  }

  subscribe(listener: (update: Update) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  /** The link that Circles is opened with. */
  invite: string | null = null;
  onInvite(listener: (link: string) => void): () => void {
    if (this.invite) listener(this.invite);
    return () => undefined;
  }

  /** The person clicks on a notification. */
  clickNotice: (campus: string, circle: string) => void = () => undefined;
  onNoticeClicked(listener: (campus: string, circle: string) => void): () => void {
    this.clickNotice = listener;
    return () => undefined;
  }

  campuses = async () => (this.campus ? [this.campus] : []);
  previewInvite = async (link: string) => {
    if (link.includes('expired')) throw failure('invite_expired', 'expired');
    return {
      campus_name: 'Nordhaus',
      circle_name: 'rust',
      invited_by: 'Aylin',
      relay: 'https://relay.example',
      person_name: null,
    };
  };
  join = async () => this.need();
  host = async () => this.need();
  demo = async () => this.need();
  /** What the host page shows. */
  lan: HostView['lan'] = null;
  found: NearbyView[] = [];
  findings: Finding[] = [];
  made: MadeInviteView[] = [];
  hosts = async () => [{ campus_id: 'campus', address: '127.0.0.1:7420', lan: this.lan, online: ['Aylin', 'You'] }];
  setLan = async (_: string, on: boolean) => {
    this.lan = on ? { words: 'maple-otter-quartz-river', addresses: ['192.168.1.5:7081'] } : null;
  };
  nearby = async () => this.found;
  doctor = async () => this.findings;
  drawQr = async () => ({ size: 21, path: 'M0 0h1v1h-1z' });
  invites = async () => this.made;
  revokeInvite = async (_: string, id: string) => void (this.made = this.made.filter((it) => it.id !== id));
  leaveCampus = async () => void (this.campus = null);
  reconnect = async () => undefined;
  putNoticesAside = async () => {
    if (this.campus) this.campus = { ...this.campus, renewal: null, absence: null };
    if (this.campus) this.emit({ update: 'campus', campus: this.campus });
  };
  kept = async () => [
    { id: 'kept', circle: 'rust', author: 'Aylin', text: 'the pan is in the cellar', at: Date.UTC(2026, 10, 23) },
  ];
  lost: StrandedView[] = [];
  stranded = async () => this.lost;
  setAside: SetAsideView[] = [];
  status: Circles['status'] = async () => [
    {
      campus: this.need(),
      cursor: null,
      heard_at: null,
      set_aside: this.setAside.length,
      events_set_aside: this.setAside,
      circles: [],
      stranded: this.lost,
    },
  ];
  editProfile = async () => undefined;
  devices = async () => [
    { id: 'd1', name: 'Laptop', created_at: 0, last_seen_at: 0, this: true },
    { id: 'd2', name: 'Firefox on Linux', created_at: 0, last_seen_at: Date.UTC(2026, 10, 22), this: false },
  ];
  revokeDevice = async () => undefined;
  shortCode: string | null = null;
  createInvite = async () => {
    const made = { id: `i${this.made.length}`, expires_at: Date.UTC(2026, 11, 1), max_uses: 100 };
    this.made = [...this.made, { ...made, device: false, uses: 0 }];
    return { ...made, link: 'https://relay.example/join#kX93hQ', short_code: this.shortCode };
  };
  circles = async () => [this.circle, ...this.others];
  createCircle = async (_: string, name: string, topic: string) => ({
    ...this.circleView(name, topic, 0, 0),
    last: null,
  });
  editCircle = async () => undefined;
  joinCircle = async () => undefined;
  leaveCircle = async () => undefined;
  people = async (_: string, __: string | null, query: string) =>
    [ME, ...new Map(this.held.map((m) => [m.author.id, m.author])).values()].filter((p) => p.name.includes(query));
  addMember = async () => undefined;
  removeMember = async () => undefined;
  focus: Circles['focus'] = async () => undefined;
  online = new Set(['me', 'ball', 'talchas']);
  presence = async () => [...this.online];
  timeline = async (_: string, circle: string, anchor: Parameters<Circles['timeline']>[2], limit: number) => {
    if (circle !== this.circle.id) {
      return { from: 1, to: 0, head_seq: 0, read_seq: 0, held_seq: 0, messages: [], unsent: [] };
    }
    const { head_seq, read_seq } = this.circle;
    const { from, to } = windowOf(anchor, limit, head_seq, read_seq);
    const messages = this.held.filter((m) => (m.seq ?? 0) >= from && (m.seq ?? 0) <= to);
    const held = new Set(this.held.map((m) => m.seq));
    let held_seq = read_seq;
    while (held.has(held_seq + 1)) held_seq += 1;
    return { from, to, head_seq, read_seq, held_seq, messages, unsent: this.waiting };
  };
  fill = async (_: string, __: string, from: number, to: number) => void this.filled.push([from, to]);
  /** The questions that a search asked; a test may answer by itself. */
  asked: string[] = [];
  search: Circles['search'] = async (_, query, after, limit) => {
    this.asked.push(query);
    const wanted = query.toLocaleLowerCase();
    const older = this.held.filter((m) => wanted && m.text.toLocaleLowerCase().includes(wanted)).reverse();
    const page = older.slice(Number(after ?? 0), Number(after ?? 0) + limit);
    const hit = (m: MessageView) => {
      const at = m.text.toLocaleLowerCase().indexOf(wanted);
      const cuts = [m.text.slice(0, at), m.text.slice(at, at + wanted.length), m.text.slice(at + wanted.length)];
      return cuts.map((text, i) => ({ text, hit: i === 1 })).filter((part) => part.text);
    };
    return {
      circles: [this.circle, ...this.others].filter((it) => wanted && it.name.toLocaleLowerCase().includes(wanted)),
      people: [],
      messages: page.map((m) => ({
        id: m.id, circle_id: this.circle.id, circle_name: this.circle.name, seq: m.seq ?? 0, author: m.author, at: m.at,
        snippet: hit(m),
      })), // prettier-ignore
      more: older.length > page.length + Number(after ?? 0) ? String(page.length + Number(after ?? 0)) : null,
      covered: { searched: this.held.length, total: this.circle.head_seq, partly: [] },
    };
  };
  firstSince: Circles['firstSince'] = async (_, __, at) => this.held.find((m) => m.at >= at)?.seq ?? null;
  send = async (_: string, circle: string, text: string, reply_to: string | null) => {
    this.drafts.delete(circle);
    const message = this.message(null, ME.name, text, Date.UTC(2026, 10, 24, 15, this.ids % 60));
    const to = this.held.find((m) => m.id === reply_to);
    if (to) message.reply = { id: to.id, seq: to.seq, author: to.author.name, text: to.text };
    this.waiting.push(message);
    return message;
  };
  edit = async (_: string, __: string, message: string, text: string) => this.change(message, { text, edited: true });
  delete = async (_: string, __: string, message: string) => this.change(message, { text: '', deleted: true });
  react = async () => undefined;
  retry = async (_: string, __: string, message: string) => this.change(message, { delivery: { state: 'queued' } });
  discard = async (_: string, __: string, message: string) => {
    this.waiting = this.waiting.filter((m) => m.id !== message);
    this.lost = this.lost.filter((it) => it.message_id !== message);
    this.tell([], [message]);
  };
  markRead: Circles['markRead'] = async () => undefined;
  draft = async (_: string, circle: string) => this.drafts.get(circle) ?? { text: '', reply_to: null, editing: null };
  setDraft = async (_: string, circle: string, draft: DraftView) => void this.drafts.set(circle, draft);
  /** Another device of the person changed a draft. */
  drafted(circle_id: string, text: string): void {
    this.drafts.set(circle_id, { text, reply_to: null, editing: null });
    this.emit({ update: 'draft', campus_id: 'campus', circle_id });
  }
  setMuted = async (_: string, circle: string, muted: boolean) => {
    if (circle === this.circle.id) this.circle = { ...this.circle, muted };
    this.tell([]);
  };
  told: [string, boolean][] = [];
  typing = async (_: string, circle: string, on: boolean) => void this.told.push([circle, on]);

  private change(id: string, now: Partial<MessageView>): void {
    const update = (m: MessageView): MessageView => (m.id === id ? { ...m, ...now } : m);
    this.held = this.held.map(update);
    this.waiting = this.waiting.map(update);
    this.tell([...this.held, ...this.waiting].filter((m) => m.id === id));
  }

  private need(): CampusView {
    if (!this.campus) throw failure('offline', 'no campus');
    return this.campus;
  }

  private circleView(name: string, topic: string, head_seq: number, read_seq: number): CircleView {
    const last = this.held.at(-1);
    return {
      id: name, name, topic, access: 'open', joined: true, role: 'owner', members: 253, head_seq, read_seq,
      unread: head_seq - read_seq, mentions: 0, first_mention: null, missing: 0, unsent: 0, failed: 0, draft: false, muted: false,
      last: last ? { author: last.author.name, mine: false, text: last.text, deleted: false, at: last.at } : null,
    }; // prettier-ignore
  }
}
