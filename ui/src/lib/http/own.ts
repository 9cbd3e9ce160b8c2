/**
 * What the person's devices agree on of each circle, as far as the relay does not know it yet: the last state that was
 * wanted here, and when. One key each: tabs share it.
 */
import type { DraftView } from '../../generated/DraftView';
import { keep, keysUnder, type Store } from './store';

/** How long a draft rests before the other devices are told: a message that is written in one go is not told before it is sent. */
export const DRAFT_REST_MS = 2_000;
export const NO_DRAFT: DraftView = { text: '', reply_to: null, editing: null };

export interface Waiting<T> {
  state: T;
  at: number;
  /** It was handed to the network: the relay may have it. */
  tried?: true;
}

/** What the sender needs of one kind of them. */
export interface Own {
  /** The last part of its route. */
  readonly name: 'mute' | 'draft';
  /** The circles of which one waits, and how long until it may be told, in ms. */
  rests(now: number): [string, number][];
  /** It is handed to the network: what is told, and since when it is so. */
  begin(circle: string): { body: object; at: number } | null;
  done(circle: string, at: number): void;
  refuse(circle: string, at: number): void;
}

export class OwnStates<T> implements Own {
  private readonly prefix: string;
  /** What the relay refused since the page was opened, by circle: it stays as it is here. */
  private readonly refused = new Map<string, number>();

  constructor(
    private readonly store: Store,
    readonly name: Own['name'],
    campus: string,
    private readonly body: (state: T) => object,
    private readonly restMs: (state: T) => number,
  ) {
    this.prefix = `circles.${name}.${campus}.`;
  }

  /** `null`: none waits. */
  get(circle: string): Waiting<T> | null {
    const kept = this.store.getItem(this.prefix + circle);
    if (kept === null) return null;
    const it = JSON.parse(kept) as Waiting<T> | T;
    // Pages of before kept a draft alone.
    return isWaiting(it) ? it : { state: it, at: 0 };
  }

  /** Takes the place of one that waits. `known`: as the relay has it. */
  set(circle: string, state: T, known: T): void {
    const tried = this.get(circle)?.tried;
    // Nobody else heard of what is taken back in time.
    if (!tried && JSON.stringify(state) === JSON.stringify(known)) this.store.removeItem(this.prefix + circle);
    else this.put(circle, { state, at: Date.now(), ...(tried && { tried }) });
  }

  rests(now: number): [string, number][] {
    const circles = keysUnder(this.store, this.prefix).map((key) => key.slice(this.prefix.length));
    return circles.flatMap((circle): [string, number][] => {
      const it = this.get(circle);
      if (!it || this.refused.get(circle) === it.at) return [];
      // Of a clock that was set back nothing is waited for.
      return [[circle, it.at > now ? 0 : Math.max(0, it.at + this.restMs(it.state) - now)]];
    });
  }

  begin(circle: string): { body: object; at: number } | null {
    const it = this.get(circle);
    if (!it) return null;
    try {
      this.put(circle, { ...it, tried: true });
    } catch {
      // A full storage: it is told all the same.
    }
    return { body: this.body(it.state), at: it.at };
  }

  /** It was answered. A newer one goes on waiting. */
  done(circle: string, at: number): void {
    if (this.get(circle)?.at === at) this.store.removeItem(this.prefix + circle);
  }

  refuse(circle: string, at: number): void {
    this.refused.set(circle, at);
  }

  /** The circle of what another tab wrote (`storage` event). */
  heard(name: string | null): string | null {
    return name?.startsWith(this.prefix) ? name.slice(this.prefix.length) : null;
  }

  private put(circle: string, it: Waiting<T>): void {
    keep(this.store, this.prefix + circle, JSON.stringify(it));
  }
}

const isWaiting = <T>(it: Waiting<T> | T): it is Waiting<T> => typeof it === 'object' && it !== null && 'state' in it;

export const mutesOf = (store: Store, campus: string): OwnStates<boolean> =>
  new OwnStates(
    store,
    'mute',
    campus,
    (on) => ({ on }),
    () => 0,
  );

export const draftsOf = (store: Store, campus: string): OwnStates<DraftView> =>
  new OwnStates<DraftView>(
    store,
    'draft',
    campus,
    (draft) => draft,
    ({ text }) => (text === '' ? 0 : DRAFT_REST_MS),
  );
