/** What this page keeps in the browser: `localStorage`, which all tabs of the relay share. */
import { failure } from '../failure';

export type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

/** Rejects with a `Failure` if the browser gives no more room: what is not kept must not be shown as kept. */
export function keep(store: Store, key: string, value: string): void {
  try {
    store.setItem(key, value);
  } catch {
    throw failure('browser_full', 'The browser has no room left for this page, so nothing was kept.');
  }
}

export function keysUnder(store: Store, prefix: string): string[] {
  const keys = Array.from({ length: store.length }, (_, i) => store.key(i) ?? '');
  return keys.filter((key) => key.startsWith(prefix));
}
