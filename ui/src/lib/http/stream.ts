/**
 * The relay's stream, over the browser's own EventSource. The browser reconnects by itself after a cut; what it does not
 * do is open the next stream before the last one ends (`bye`), notice silence, or go on after a status other than 200.
 */
import type { Bye } from '../../generated/Bye';
import type { Change } from '../../generated/Change';
import type { Hello } from '../../generated/Hello';
import type { Ping } from '../../generated/Ping';
import type { Presence } from '../../generated/Presence';
import type { Typing } from '../../generated/Typing';
import { Backoff } from './backoff';

/** Pings come every 15 s: three missed ones mean that the connection is dead. */
const SILENCE_MS_MAX = 45_000;

export type Source = EventTarget & Pick<EventSource, 'close' | 'readyState'>;

export interface StreamHandlers {
  /** `goesOn`: it takes over from one that is still open, so that nothing was missed between them. */
  hello(goesOn: boolean): void;
  typing(typing: Typing): void;
  presence(presence: Presence): void;
  change(change: Change): void;
  /** Changes were left out, or the history is another: the snapshot is to be taken anew, then `start` again. */
  gap(): void;
  lost(problem: 'unreachable' | 'silent', retryAt: number): void;
  /** The stream was refused with a status: who knows why is `GET /v1/me`. Resolves true to go on trying. */
  refused(): Promise<boolean>;
}

export class Stream {
  private current: Source | null = null;
  private next: Source | null = null;
  private cursor = '';
  private readonly backoff: Backoff;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly open: (url: string) => Source,
    private readonly on: StreamHandlers,
    random: () => number = Math.random,
  ) {
    this.backoff = new Backoff(random);
  }

  start(cursor: string): void {
    this.stop();
    this.cursor = cursor;
    this.current = this.connect();
  }

  stop(): void {
    clearTimeout(this.watchdog);
    clearTimeout(this.retry);
    this.current?.close();
    this.next?.close();
    this.current = this.next = null;
  }

  /** At once, from where it stands. */
  reconnect(): void {
    this.backoff.reset();
    this.start(this.cursor);
  }

  private connect(): Source {
    const source = this.open(`/v1/stream?last_event_id=${encodeURIComponent(this.cursor)}`);
    const heard = (event: MessageEvent<string>): void => {
      // The cursor only grows (design 3.5): of two streams side by side, the later one may be behind.
      if (event.lastEventId && !isOlder(event.lastEventId, this.cursor)) this.cursor = event.lastEventId;
      this.watch(late);
    };
    // A slow link goes on delivering what was sent before it died: silence begins when what came last was sent. The clocks
    // need not agree: what counts is how much later something came than what came soonest after the relay sent it.
    let [least, late] = [Infinity, 0];
    const told = (now: number | undefined): void => {
      if (now === undefined) return;
      const ahead = performance.now() - now;
      least = Math.min(least, ahead);
      late = ahead - least;
      if (late > SILENCE_MS_MAX) this.silent();
      else this.watch(late);
    };
    const hear = <T>(name: string, act: (data: T) => void): void =>
      source.addEventListener(name, ((event: MessageEvent<string>) => {
        if (source !== this.current && source !== this.next) return;
        heard(event);
        act(JSON.parse(event.data) as T);
      }) as EventListener);

    hear<Partial<Hello>>('hello', ({ now }) => {
      told(now);
      this.backoff.reset();
      const goesOn = source === this.next;
      if (goesOn) {
        this.current?.close();
        this.current = source;
        this.next = null;
      }
      this.on.hello(goesOn);
    });
    hear<Change>('change', (change) => this.on.change(change));
    hear<Typing>('typing', (typing) => this.on.typing(typing));
    hear<Presence>('presence', (presence) => this.on.presence(presence));
    hear<Partial<Ping>>('ping', ({ now }) => told(now));
    hear('gap', () => this.on.gap());
    hear('reset', () => this.on.gap());
    hear<Bye>('bye', (bye) => {
      if (bye.reason === 'revoked' || this.next || source !== this.current) return;
      this.retry = setTimeout(() => (this.next = this.connect()), bye.reconnect_ms);
    });
    source.addEventListener('error', () => this.failed(source));
    this.watch();
    return source;
  }

  private failed(source: Source): void {
    if (source === this.next) {
      this.next.close();
      this.next = null;
      return;
    }
    if (source !== this.current) return;
    // The browser tries again by itself only after a cut; the wait here is ours, so that it can be told and jittered.
    const refused = source.readyState === 2;
    source.close();
    const delay = this.backoff.next();
    this.on.lost('unreachable', Date.now() + delay);
    clearTimeout(this.watchdog);
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      const again = (): void => void (this.current = this.connect());
      if (!refused) again();
      else void this.on.refused().then((goOn) => goOn && source === this.current && again());
    }, delay);
  }

  /** `late`: what came last was sent so long before it came, in ms. */
  private watch(late = 0): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.silent(), SILENCE_MS_MAX - late);
  }

  /** Nothing came for too long, or only what was sent long ago. */
  private silent(): void {
    const delay = this.backoff.next();
    this.on.lost('silent', Date.now() + delay);
    this.start(this.cursor);
  }
}

/** Whether a cursor lies behind another of the same history. */
export function isOlder(cursor: string, than: string): boolean {
  const [epoch, pos] = split(cursor);
  const [otherEpoch, otherPos] = split(than);
  return epoch === otherEpoch && pos < otherPos;
}

function split(cursor: string): [string, number] {
  const dot = cursor.lastIndexOf('.');
  return [cursor.slice(0, dot), Number(cursor.slice(dot + 1))];
}
