/**
 * What was written and not yet acknowledged: kept in the browser's storage, sent per circle in order (design 3.7). Pure
 * but for the storage it is given.
 *
 * All tabs of the relay share that storage, and none of it can be read and written in one step. So no two things that
 * different tabs may write stand in one value: each entry has a key of its own, and how its sending goes, which only the
 * tab whose turn it is writes, stands beside it.
 */
import type { Message } from '../../generated/Message';
import { laterKey } from './ids';
import { keep, keysUnder, type Store } from './store';

export type Work =
  | { op: 'post'; text: string; reply_to: string | null }
  | { op: 'edit'; text: string }
  | { op: 'delete' }
  /** Takes the place of a post that was given up: deletes it if it arrived all the same. */
  | { op: 'withdraw' }
  | { op: 'react'; emoji: string; on: boolean };

interface Written {
  /** Sorts in the order written, across tabs. */
  key: string;
  circle: string;
  message: string;
  work: Work;
  written_at: number;
  /** A post whose text was changed here: an earlier text of it may have arrived. */
  rewritten?: true;
}

/** Not stored while it is queued. */
type Sending = { state: 'queued' | 'sending'; reason: null } | { state: 'failed'; reason: string };

export type Entry = Written & Sending;

const QUEUED: Sending = { state: 'queued', reason: null };
const SENDING = '.state';
const ENTRIES = 'circles.outbox.';

export class Outbox {
  /** In the order written. */
  entries: Entry[] = [];
  private readonly prefix: string;

  constructor(
    private readonly store: Store,
    private readonly campus: string,
  ) {
    this.prefix = `${ENTRIES}${campus}.`;
    this.migrate();
    this.reload();
  }

  // ---- what the person does, in any tab

  /** Another text or the deletion of a message takes the place of what was refused of the kind. */
  add(written: Omit<Written, 'key'>): Entry {
    const superseded = changes(written.work) ? this.of(written.message) : [];
    for (const { key, state, work } of superseded) if (state === 'failed' && changes(work)) this.forget(key);
    const key = laterKey(this.keys().at(-1), written.written_at);
    return this.put({ key, ...written });
  }

  /** Changes an unsent message where it stands. False if it is under way or was sent: then the edit is queued after it. */
  rewrite(message: string, text: string): boolean {
    const post = this.read(this.post(message)?.key);
    if (post?.work.op !== 'post' || post.state === 'sending') return false;
    this.put({ ...post, work: { ...post.work, text }, rewritten: true });
    return true;
  }

  /** Gives up an unsent message. False if it is under way or was sent: then its deletion is queued after it. */
  withdraw(message: string): boolean {
    const post = this.read(this.post(message)?.key);
    if (!post || post.state === 'sending') return false;
    for (const { key } of this.of(message)) if (key !== post.key) this.forget(key);
    if (post.state === 'failed') this.forget(post.key);
    // It may have arrived with the answer lost, or another tab may begin to send it in this moment.
    else this.put({ ...post, work: { op: 'withdraw' } });
    return true;
  }

  retry(message: string): void {
    for (const { key, state } of this.of(message)) if (state === 'failed') this.become(key, QUEUED);
  }

  /** Gives up what failed of a message that was sent. */
  discard(message: string): void {
    for (const { key, state } of this.of(message)) if (state === 'failed') this.forget(key);
  }

  // ---- what the tab does whose turn it is to send

  /** No other tab sends any more. What was under way may or may not have arrived: its id makes sending it again harmless. */
  recover(underWay: ReadonlySet<string>): Entry[] {
    this.reload();
    const left = this.entries.filter(({ key, state }) => state === 'sending' && !underWay.has(key));
    for (const { key } of left) this.become(key, QUEUED);
    for (const name of keysUnder(this.store, this.prefix)) {
      if (name.endsWith(SENDING) && !this.read(this.keyOf(name))) this.store.removeItem(name);
    }
    return left;
  }

  /** The oldest of each circle that nothing holds up, if the circle has none under way. */
  due(): Entry[] {
    const seen = new Set(this.entries.filter(({ state }) => state === 'sending').map(({ circle }) => circle));
    return this.entries.filter((entry, at) => {
      if (seen.has(entry.circle) || entry.state !== 'queued') return false;
      if (this.entries.slice(0, at).some((before) => holdsUp(before, entry))) return false;
      seen.add(entry.circle);
      return true;
    });
  }

  /** Gives what to send, as it stands now: another tab may have rewritten it, or given it up. */
  begin(key: string): Entry | undefined {
    return this.become(key, { state: 'sending', reason: null });
  }

  later(key: string): void {
    this.become(key, QUEUED);
  }

  failed(key: string, reason: string): void {
    this.become(key, { state: 'failed', reason });
  }

  /** It was acknowledged. What another tab made of it meanwhile is left to send. */
  sent(sent: Entry): void {
    const now = this.read(sent.key);
    if (!now || JSON.stringify(now.work) === JSON.stringify(sent.work)) this.forget(sent.key);
    else if (now.work.op === 'post') this.amend(now.key);
    else this.become(now.key, QUEUED);
  }

  /** The post has arrived with another text than it has now: what is left to send is an edit. */
  amend(key: string): void {
    const now = this.read(key);
    if (now?.work.op === 'post') this.put({ ...now, work: { op: 'edit', text: now.work.text } });
  }

  /** What it answers is not there: it is sent as a message of its own. False if it answers nothing. */
  answersNothing(key: string): boolean {
    const now = this.read(key);
    if (now?.work.op !== 'post' || now.work.reply_to === null) return false;
    this.put({ ...now, work: { ...now.work, reply_to: null } });
    this.become(key, QUEUED);
    return true;
  }

  /** The message is in the log: its post needs no sending any more. */
  landed(message: Pick<Message, 'id' | 'text'>): void {
    const held = this.post(message.id);
    if (!held) return;
    const post = this.read(held.key);
    if (post?.work.op === 'post' && post.rewritten && post.work.text !== message.text) this.amend(post.key);
    else if (!post || post.work.op === 'post') this.forget(held.key);
  }

  // ---- what is known

  post(message: string): Entry | undefined {
    return this.entries.find((entry) => entry.message === message && entry.work.op === 'post');
  }

  /** The first post of a circle that was refused: what is written after it waits for it. */
  refused(circle: string): Entry | undefined {
    return this.entries.find(
      (entry) => entry.circle === circle && entry.work.op === 'post' && entry.state === 'failed',
    );
  }

  of(message: string): Entry[] {
    return this.entries.filter((entry) => entry.message === message);
  }

  /** Another tab wrote (`storage` event). Gives the entries that it is about, as they were and as they are. */
  heard(name: string | null): Entry[] {
    if (name === null) {
      const before = this.entries;
      this.reload();
      return [...before, ...this.entries];
    }
    if (!name.startsWith(this.prefix)) return [];
    const key = this.keyOf(name);
    const before = this.entries.find((entry) => entry.key === key);
    const now = this.read(key);
    // The other tab has sent it. Here it stays on the screen until the stream or a page brings the message.
    if (!now && before?.work.op === 'post' && before.state === 'sending') return [];
    this.hold(key, now);
    return [before, now].filter((entry) => entry !== undefined);
  }

  reload(): void {
    this.entries = this.keys().flatMap((key) => this.read(key) ?? []);
  }

  // ---- the storage

  private keys(): string[] {
    const names = keysUnder(this.store, this.prefix).filter((name) => !name.endsWith(SENDING));
    return names.map((name) => this.keyOf(name)).sort();
  }

  private keyOf(name: string): string {
    return name.slice(this.prefix.length).split('.')[0] ?? '';
  }

  private read(key: string | undefined): Entry | undefined {
    const written = key === undefined ? null : this.store.getItem(this.prefix + key);
    if (written === null) return undefined;
    const sending = this.store.getItem(this.prefix + key + SENDING);
    return { ...(JSON.parse(written) as Written), ...(sending === null ? QUEUED : (JSON.parse(sending) as Sending)) };
  }

  /** Stored first: if the storage is full, nothing is shown as written. It is to be sent from the beginning. */
  private put({ key, circle, message, work, written_at, rewritten }: Written): Entry {
    const written: Written = { key, circle, message, work, written_at, ...(rewritten && { rewritten }) };
    keep(this.store, this.prefix + key, JSON.stringify(written));
    this.store.removeItem(this.prefix + key + SENDING);
    const entry: Entry = { ...written, ...QUEUED };
    this.hold(key, entry);
    return entry;
  }

  /** Nothing if the entry is gone. */
  private become(key: string, sending: Sending): Entry | undefined {
    const now = this.read(key);
    const name = this.prefix + key + SENDING;
    if (!now || sending.state === 'queued') this.store.removeItem(name);
    else {
      try {
        this.store.setItem(name, JSON.stringify(sending));
      } catch {
        // A full storage must not keep the outbox from emptying. Without this a reload only sends it again.
      }
    }
    const entry = now && { ...now, ...sending };
    this.hold(key, entry);
    return entry;
  }

  private forget(key: string): void {
    this.store.removeItem(this.prefix + key);
    this.store.removeItem(this.prefix + key + SENDING);
    this.hold(key, undefined);
    this.migrate();
  }

  private hold(key: string, entry: Entry | undefined): void {
    const others = this.entries.filter((held) => held.key !== key);
    this.entries = entry ? [...others, entry].sort((a, b) => (a.key < b.key ? -1 : 1)) : others;
  }

  /** The outbox once was one value. Its entries leave it one by one, each after it was kept as it is now. */
  private migrate(): void {
    const place = ENTRIES + this.campus;
    const old = JSON.parse(this.store.getItem(place) ?? '[]') as Entry[];
    try {
      for (let first = old.shift(); first; first = old.shift()) {
        const { key: end, state, reason, ...written } = first;
        const keys = this.keys();
        // A page that went just here took it over already.
        if (!keys.some((key) => key.endsWith(end))) {
          const { key } = this.put({ ...written, key: laterKey(keys.at(-1), first.written_at, end) });
          if (state === 'failed') this.failed(key, reason);
        }
        keep(this.store, place, JSON.stringify(old));
      }
      this.store.removeItem(place);
    } catch {
      // No room for both forms of an entry: the rest stays as it is, until something has been sent.
    }
  }
}

/** Whether it says what becomes of a message as a whole. */
const changes = ({ op }: Work): boolean => op === 'edit' || op === 'delete';

/**
 * The posts of a circle keep their order, so a refused one holds up the later ones. Anything else concerns one message: it
 * waits for that message's post, and for an edit or deletion of it that was refused. A refused reaction holds up nothing.
 */
function holdsUp(before: Entry, entry: Entry): boolean {
  const isPost = before.work.op === 'post';
  if (isPost && entry.work.op === 'post') return before.circle === entry.circle && before.state === 'failed';
  return before.message === entry.message && (isPost || (before.state === 'failed' && changes(before.work)));
}

/** How many messages wait to be sent in this browser, whatever their campus: known before any relay answers. */
export function countUnsent(store: Store): number {
  const names = keysUnder(store, ENTRIES).filter((name) => name.split('.').length === 4);
  return names.filter((name) => (JSON.parse(store.getItem(name) ?? 'null') as Written | null)?.work.op === 'post')
    .length;
}
