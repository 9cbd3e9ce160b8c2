import type { Anchor } from '../generated/Anchor';
import type { MessageView } from '../generated/MessageView';
import type { TimelineView } from '../generated/TimelineView';
import { api } from '../lib/api';
import { pause } from '../lib/pause';
import { rowsOf } from '../lib/rows';

const PAGE = 100;
/** Taken anew in pages of this many numbers, the most that the contract gives. */
const PAGE_MAX = 200;
/** A longer window is cut back when it is taken anew, at the end that is farther from the screen. */
const WINDOW_MAX = 2_000;

/** The stretch of one circle's timeline that is loaded. */
export class Timeline {
  from = $state(1);
  to = $state(0);
  head = $state(0);
  /** How far the person has read, as far as whoever serves knows. */
  read = $state(0);
  /** How far was seen here: what `read` is about to be. */
  seen = $state(0);
  /** Where the unread divider stands: fixed for as long as the circle is looked at. */
  divider = $state<number | null>(null);
  messages = $state.raw<MessageView[]>([]);
  unsent = $state.raw<MessageView[]>([]);
  loaded = $state(false);
  /** The last change put rows before the first one: the list must keep its place. */
  prepended = $state(false);
  problem = $state<unknown>(null);
  /** How often it was taken anew: a gap that was asked for in vain is then asked for again. */
  taken = $state(0);
  /** The number of a message that is to be shown next, or that of the first unread one. */
  target = $state<number | 'unread' | null>(null);

  rows = $derived(
    rowsOf({ from: this.from, to: this.to, messages: this.messages, unsent: this.unsent, divider: this.divider }),
  );
  /** The first that is unread. */
  unreadFrom = $derived(Math.max(this.read, this.seen) + 1);
  /** Nothing unread beyond this is passed over: what is missing was on nobody's screen (design 3.4). */
  heldTo = $derived.by(() => {
    const held = Math.max(this.held, this.read);
    // What lies between is not in the window, and nobody knows that it is here.
    if (this.from > held + 1) return held;
    const gap = this.rows.find((row) => row.kind === 'gap' && row.to > held);
    return gap?.kind === 'gap' ? Math.max(held, gap.from - 1) : Math.max(held, this.to);
  });
  atEnd = $derived(this.to >= this.head);
  atStart = $derived(this.from <= 1);

  /** The first and the last number on the screen. */
  top = $state(0);
  bottom = $state(0);

  /** Nothing is missing after `read` up to here. */
  private held = $state(0);

  private busy: Promise<void> | null = null;
  /** It is to be taken anew, and that was not asked for yet. */
  private due = false;
  /** So many wait to open at another place. */
  private opening = 0;
  /** What came while an answer was under way, which may be older than it. */
  private heard: [MessageView[], string[]][] = [];
  private filling = new Set<string>();

  constructor(
    readonly campus: string,
    readonly circle: string,
  ) {}

  async open(anchor: Anchor = { at: 'unread' }): Promise<void> {
    this.opening += 1;
    await this.alone(async () => {
      this.opening -= 1;
      this.due = false;
      const view = await api().timeline(this.campus, this.circle, anchor, PAGE);
      // To take it in is a piece of work of its own, here and below.
      await pause();
      this.prepended = false;
      this.take(view);
      if (!this.loaded) this.divider = view.read_seq < view.head_seq ? view.read_seq : null;
      this.loaded = true;
    });
  }

  /** More of the past. Not beyond a gap at the top: that is filled first. */
  async before(): Promise<void> {
    if (this.atStart || this.busy || this.rows[0]?.kind === 'gap') return;
    await this.alone(async () => {
      const view = await api().timeline(this.campus, this.circle, { at: 'before', seq: this.from }, PAGE);
      if (view.from > view.to || view.from >= this.from) return;
      this.prepended = true;
      this.from = view.from;
      this.messages = merge(this.messages, view.messages);
    });
  }

  /** More of what follows. Not beyond a gap at the bottom: that is filled first. */
  async after(): Promise<void> {
    if (this.atEnd || this.busy || this.endsInGap()) return;
    await this.alone(async () => {
      const view = await api().timeline(this.campus, this.circle, { at: 'after', seq: this.to }, PAGE);
      this.prepended = false;
      this.head = Math.max(this.head, view.head_seq);
      if (view.from > view.to) return;
      this.to = Math.max(this.to, view.to);
      this.messages = merge(this.messages, view.messages);
    });
  }

  /**
   * Takes what is loaded anew: a page was filled in, or people were renamed. Asked for often while it waits, it is done once,
   * and not at all if meanwhile somebody opens another place.
   */
  async refresh(): Promise<void> {
    this.due = true;
    while (this.busy || this.opening > 0) await this.busy;
    if (!this.due) return;
    if (!this.loaded || this.to < this.from) return this.open({ at: 'latest' });
    await this.alone(async () => {
      this.due = false;
      const { from: first, to: last } = this.cut();
      // Where it ended at the end it goes on beyond: what comes meanwhile may move the end and the window (`apply`).
      const goesOn = this.atEnd && last === this.to;
      let messages: MessageView[] = [];
      let view: TimelineView | null = null;
      for (let after = first - 1; after < last || (goesOn && after === last); after += PAGE_MAX) {
        view = await api().timeline(this.campus, this.circle, { at: 'after', seq: after }, PAGE_MAX);
        messages = merge(messages, view.messages);
      }
      if (!view) return;
      await pause();
      const to = goesOn ? Math.max(last, Math.min(view.to, view.head_seq)) : last;
      messages = keep(
        this.messages,
        messages.filter((message) => (message.seq ?? 0) <= to),
      );
      const held = new Set(this.messages.map((message) => message.seq));
      const came = messages.find((message) => !held.has(message.seq))?.seq ?? 0;
      // What was filled in below what is on the screen moves nothing there; who is at the end stays there, and the rows
      // where the list stood before are not made in vain.
      this.prepended = to === this.to && came > 0 && (came < this.top || this.showsEnd());
      this.from = first;
      this.to = to;
      this.messages = messages;
      this.unsent = keep(this.unsent, view.unsent);
      this.head = view.head_seq;
      this.read = view.read_seq;
      this.held = view.held_seq;
      this.taken += 1;
    });
  }

  /** Messages came or changed. */
  apply(changed: MessageView[], discarded: string[]): void {
    if (this.busy) this.heard.push([changed, discarded]);
    const ended = this.atEnd;
    const landed = changed.filter((message) => message.seq !== null);
    const ids = new Set([...landed.map((message) => message.id), ...discarded]);
    const waiting = new Map(this.unsent.filter((m) => !ids.has(m.id)).map((m) => [m.id, m]));
    const held = new Set(this.messages.map((message) => message.id));
    for (const message of changed) {
      if (message.seq === null && !held.has(message.id)) waiting.set(message.id, message);
    }
    this.prepended = false;
    this.unsent = [...waiting.values()];
    for (const message of landed) this.head = Math.max(this.head, message.seq ?? 0);
    // After an absence the end may be far away: the window goes on from where it was, so that the unread stays in it.
    if (ended) this.to = Math.min(this.head, this.to + PAGE_MAX);
    this.messages = merge(
      this.messages,
      landed.filter((m) => (m.seq ?? 0) >= this.from && (m.seq ?? 0) <= this.to),
    );
  }

  /** A gap is seen: fetch what is nearest to its end. The updates tell when it is there. */
  async fill(from: number, to: number): Promise<void> {
    const key = `${from}-${to}`;
    if (this.filling.has(key)) return;
    this.filling.add(key);
    try {
      await api().fill(this.campus, this.circle, from, to);
      this.problem = null;
    } catch (error) {
      this.problem = error;
    } finally {
      this.filling.delete(key);
    }
  }

  /** The person has read as far as this, here or on another device. */
  reads(seq: number): void {
    this.read = Math.max(this.read, seq);
  }

  holds(seq: number): boolean {
    return seq >= this.from && seq <= this.to;
  }

  private endsInGap(): boolean {
    return (this.messages.at(-1)?.seq ?? this.from - 1) < this.to;
  }

  /** The last message is on the screen, or will be: nothing is there yet. */
  private showsEnd(): boolean {
    return this.atEnd && this.bottom >= this.to && (this.messages.length === 0 || !this.endsInGap());
  }

  /** What is kept of the window: never without what is on the screen, and as much on both sides of that. */
  private cut(): { from: number; to: number } {
    const { from, to } = this;
    if (to - from < WINDOW_MAX) return { from, to };
    const [top, bottom] = this.top > 0 ? [this.top, Math.max(this.top, this.bottom)] : [to, to];
    return top - from >= to - bottom
      ? { from: Math.max(from, Math.min(to - WINDOW_MAX + 1, top - WINDOW_MAX / 2)), to }
      : { from, to: Math.min(to, Math.max(from + WINDOW_MAX - 1, bottom + WINDOW_MAX / 2)) };
  }

  private take(view: TimelineView): void {
    this.from = view.from;
    this.to = view.to;
    this.head = view.head_seq;
    this.read = view.read_seq;
    this.held = view.held_seq;
    this.messages = view.messages;
    this.unsent = view.unsent;
  }

  private async alone(work: () => Promise<void>): Promise<void> {
    while (this.busy) await this.busy;
    const done = work().then(
      () => void (this.problem = null),
      (error: unknown) => void (this.problem = error),
    );
    this.busy = done;
    await done;
    this.busy = null;
    const prepended = this.prepended;
    for (const [changed, discarded] of this.heard.splice(0)) this.apply(changed, discarded);
    this.prepended = prepended;
  }
}

/** Newer views of the same message replace older ones; ascending by `seq`. */
export function merge(held: MessageView[], came: MessageView[]): MessageView[] {
  if (came.length === 0) return held;
  const bySeq = new Map(held.map((message) => [message.seq, message]));
  for (const message of keep(held, came)) bySeq.set(message.seq, message);
  return [...bySeq.values()].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
}

/** What came; but messages that say what they said stay the same objects, so that nothing is done for their rows. */
function keep(held: MessageView[], came: MessageView[]): MessageView[] {
  const byId = new Map(held.map((message) => [message.id, message]));
  const kept = came.map((message) => {
    const before = byId.get(message.id);
    return before && JSON.stringify(before) === JSON.stringify(message) ? before : message;
  });
  return kept.length === held.length && kept.every((message, i) => message === held[i]) ? held : kept;
}
