/** One origin's storage as several tabs see it: each hears at once what another wrote. */
import type { Store } from '../lib/http/store';

export class Tabs {
  readonly values = new Map<string, string>();
  /** No room for anything more. */
  full = false;
  private readonly tabs: { heard: (name: string) => void }[] = [];

  open(): Store & { heard: (name: string) => void } {
    const { values } = this;
    const tell = (name: string): void => {
      for (const other of this.tabs) if (other !== tab) other.heard(name);
    };
    const tab = {
      heard: (name: string): void => void name,
      get length() {
        return values.size;
      },
      key: (i: number) => [...values.keys()][i] ?? null,
      getItem: (name: string) => values.get(name) ?? null,
      setItem: (name: string, value: string) => {
        const more = value.length > (values.get(name)?.length ?? 0);
        if (this.full && more) throw new DOMException('full', 'QuotaExceededError');
        values.set(name, value);
        tell(name);
      },
      removeItem: (name: string) => {
        if (values.delete(name)) tell(name);
      },
    };
    this.tabs.push(tab);
    return tab;
  }
}

/** The Web Locks of one origin: granted in the order asked for; `close` is what happens when a tab is closed. */
export class FakeLocks {
  private readonly queue: { grant: () => void; tab: string }[] = [];

  of(tab: string): Pick<LockManager, 'request'> {
    const request = (_name: string, options: LockOptions, hold: () => Promise<void>): Promise<void> => {
      const asked = { grant: () => void hold().then(() => this.drop(asked)), tab };
      options.signal?.addEventListener('abort', () => this.drop(asked));
      this.queue.push(asked);
      if (this.queue.length === 1) asked.grant();
      return new Promise(() => undefined);
    };
    return { request: request as LockManager['request'] };
  }

  close(tab: string): void {
    for (const asked of this.queue.filter((one) => one.tab === tab)) this.drop(asked);
  }

  private drop(asked: (typeof this.queue)[number]): void {
    const at = this.queue.indexOf(asked);
    if (at < 0) return;
    this.queue.splice(at, 1);
    if (at === 0) this.queue[0]?.grant();
  }
}
