/** Whose turn it is to send: of all tabs of one relay, one sends; when it goes, another takes over. */
import type { Store } from './store';

export interface Turn {
  /** Calls back when it is this tab's turn: at once, or when the tab that has it goes. */
  ask(taken: () => void): void;
  mine(): boolean;
  leave(): void;
}

export function turnOf(name: string, store: Store): Turn {
  // There are no Web Locks outside a secure context, such as http on a LAN address.
  const locks = (navigator as { locks?: LockManager }).locks;
  return locks ? new LockTurn(locks, name) : new LeaseTurn(store, name);
}

/** By the Web Locks API: the browser itself passes the turn on, however the tab ended. */
export class LockTurn implements Turn {
  private readonly left = new AbortController();
  private held = false;

  constructor(
    private readonly locks: Pick<LockManager, 'request'>,
    private readonly name: string,
  ) {}

  ask(taken: () => void): void {
    const { signal } = this.left;
    const hold = (): Promise<void> => {
      this.held = true;
      taken();
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    };
    // Rejects only because of `leave`, and then nobody waits for it.
    this.locks.request(this.name, { signal }, hold).catch(() => undefined);
  }

  mine(): boolean {
    return this.held;
  }

  leave(): void {
    this.held = false;
    this.left.abort();
  }
}

const LEASE_MS = 10_000;
const RENEW_MS = 5_000;
const LOOK_MS = 2_000;

/**
 * By a lease in the storage. It is not exact: two tabs that look in the same moment may both take it until one of them
 * sees the other's, and a tab that was asleep may have a request under way when it wakes. Both are harmless to posts: the
 * message's id makes sending it twice the same as once, and whoever sends goes on to the next of a circle only after the
 * last was acknowledged, so that the order holds. What can go wrong is that of two edits of one message, made within that
 * moment, the older arrives once more after the newer.
 */
export class LeaseTurn implements Turn {
  private readonly me = crypto.getRandomValues(new Uint32Array(2)).join('-');
  private held = false;
  private timer: ReturnType<typeof setInterval> | undefined;
  private taken = (): void => undefined;

  constructor(
    private readonly store: Store,
    private readonly name: string,
  ) {}

  ask(taken: () => void): void {
    this.taken = taken;
    this.timer = setInterval(this.look, LOOK_MS);
    window.addEventListener('pagehide', this.release);
    this.look();
  }

  mine(): boolean {
    return this.held && !this.other();
  }

  leave(): void {
    clearInterval(this.timer);
    window.removeEventListener('pagehide', this.release);
    this.release();
  }

  private readonly look = (): void => {
    const had = this.held;
    this.held = !this.other();
    if (!this.held) return;
    const left = this.until() - Date.now();
    if (left < RENEW_MS || left > LEASE_MS) {
      try {
        this.store.setItem(this.name, `${this.me} ${Date.now() + LEASE_MS}`);
      } catch {
        // A full storage must not keep the outbox from emptying: rather all tabs send than none.
      }
    }
    if (!had) this.taken();
  };

  private readonly release = (): void => {
    if (this.mine()) this.store.removeItem(this.name);
    this.held = false;
  };

  /** Whether another tab has it. A lease longer than any is one from before the clock was set back. */
  private other(): boolean {
    const ms = this.until() - Date.now();
    return this.store.getItem(this.name)?.split(' ')[0] !== this.me && ms > 0 && ms <= LEASE_MS;
  }

  private until(): number {
    return Number(this.store.getItem(this.name)?.split(' ')[1] ?? 0);
  }
}
