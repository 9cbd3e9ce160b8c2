/** Waits longer after each failure, with jitter, so that many pages do not come back in the same moment (design 6). */
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

export class Backoff {
  private attempts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly random: () => number = Math.random) {}

  /** How long to wait this time, in ms. */
  next(): number {
    const base = WAITS_MS[Math.min(this.attempts++, WAITS_MS.length - 1)] ?? 30_000;
    return base * (0.5 + this.random());
  }

  /** Acts after the next wait, instead of what was to be done later before; says how long that is, in ms. */
  later(act: () => void): number {
    this.stop();
    const wait = this.next();
    this.timer = setTimeout(() => {
      this.timer = undefined;
      act();
    }, wait);
    return wait;
  }

  get waiting(): boolean {
    return this.timer !== undefined;
  }

  /** Forgets what was to be done later. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** It works again: the next failure is a first one. */
  reset(): void {
    this.attempts = 0;
    this.stop();
  }
}
