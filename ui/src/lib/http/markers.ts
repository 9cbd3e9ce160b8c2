/** Up to where the person has read, per circle, as far as the relay does not know it yet. One key each: tabs share it. */
import { keep, keysUnder, type Store } from './store';

export interface Marker {
  circle: string;
  seq: number;
}

export class ReadMarkers {
  private readonly prefix: string;

  constructor(
    private readonly store: Store,
    campus: string,
  ) {
    this.prefix = `circles.read.${campus}.`;
  }

  /** Zero: none waits. */
  get(circle: string): number {
    return Number(this.store.getItem(this.prefix + circle) ?? 0);
  }

  all(): Marker[] {
    return keysUnder(this.store, this.prefix).map((name) => {
      const circle = name.slice(this.prefix.length);
      return { circle, seq: this.get(circle) };
    });
  }

  /** Takes the place of an older one that waits. */
  set(circle: string, seq: number): void {
    if (seq > this.get(circle)) keep(this.store, this.prefix + circle, String(seq));
  }

  /** It was answered, whatever the answer: a refused marker is nothing to show. A newer one goes on waiting. */
  done({ circle, seq }: Marker): void {
    if (this.get(circle) <= seq) this.store.removeItem(this.prefix + circle);
  }

  /** The circle whose marker another tab wrote (`storage` event). */
  heard(name: string | null): string | null {
    return name?.startsWith(this.prefix) ? name.slice(this.prefix.length) : null;
  }
}
