/**
 * What was written and not yet acknowledged: kept in the browser's storage, sent per circle in order (design 3.7). Pure
 * but for the storage it is given.
 */
export type Work =
  | { op: 'post'; text: string; reply_to: string | null }
  | { op: 'edit'; text: string }
  | { op: 'delete' }
  | { op: 'react'; emoji: string; on: boolean };

export interface Entry {
  key: string;
  circle: string;
  message: string;
  work: Work;
  written_at: number;
  state: 'queued' | 'sending' | 'failed';
  reason: string | null;
}

type Store = Pick<Storage, 'getItem' | 'setItem'>;

export class Outbox {
  entries: Entry[];

  constructor(
    private readonly store: Store,
    private readonly place: string,
  ) {
    this.entries = JSON.parse(store.getItem(place) ?? '[]') as Entry[];
    // What was under way when the page went may or may not have arrived: its id makes sending it again harmless.
    for (const entry of this.entries) if (entry.state === 'sending') entry.state = 'queued';
  }

  add(entry: Omit<Entry, 'state' | 'reason'>): Entry {
    const added: Entry = { ...entry, state: 'queued', reason: null };
    this.keep([...this.entries, added]);
    return added;
  }

  /** The oldest of each circle that has none under way and none failed before it. */
  due(): Entry[] {
    const seen = new Set<string>();
    return this.entries.filter((entry) => {
      if (seen.has(entry.circle)) return false;
      seen.add(entry.circle);
      return entry.state === 'queued';
    });
  }

  mark(key: string, state: Entry['state'], reason: string | null = null): void {
    this.keep(this.entries.map((entry) => (entry.key === key ? { ...entry, state, reason } : entry)));
  }

  done(key: string): void {
    this.keep(this.entries.filter((entry) => entry.key !== key));
  }

  /** The message is in the log: its post needs no sending any more. */
  landed(message: string): void {
    if (this.post(message)) this.keep(this.entries.filter((e) => !(e.message === message && e.work.op === 'post')));
  }

  post(message: string): Entry | undefined {
    return this.entries.find((entry) => entry.message === message && entry.work.op === 'post');
  }

  of(message: string): Entry[] {
    return this.entries.filter((entry) => entry.message === message);
  }

  retry(message: string): void {
    const again = (e: Entry): Entry =>
      e.message === message && e.state === 'failed' ? { ...e, state: 'queued', reason: null } : e;
    this.keep(this.entries.map(again));
  }

  discard(message: string): void {
    this.keep(this.entries.filter((entry) => entry.message !== message));
  }

  /** Changes an unsent message where it stands. False if it is under way or was sent: then the edit is queued after it. */
  rewrite(message: string, text: string): boolean {
    const post = this.post(message);
    if (!post || post.state === 'sending' || post.work.op !== 'post') return false;
    const rewritten: Entry = { ...post, work: { ...post.work, text }, state: 'queued', reason: null };
    this.keep(this.entries.map((entry) => (entry.key === post.key ? rewritten : entry)));
    return true;
  }

  /** Stored first: if the storage is full, nothing is shown as written. */
  private keep(entries: Entry[]): void {
    this.store.setItem(this.place, JSON.stringify(entries));
    this.entries = entries;
  }
}
