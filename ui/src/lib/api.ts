import type { Circles } from './circles';

let served: Circles | undefined;

/** Says who serves the interface; once, before it is mounted. */
export function serve(by: Circles): void {
  served = by;
}

export function api(): Circles {
  if (!served) throw new Error('the interface was mounted before anyone serves it');
  return served;
}
