/** A message that was on the screen of a window with the focus for this long counts as seen. */
export const SEEN_MS = 300;

/** From what is on the screen, moment by moment, to what a person has seen. */
export class Seen {
  private shown: { at: number; last: number }[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private told = 0;

  constructor(private readonly tell: (last: number) => void) {}

  /** The last number on the screen, now. */
  show(last: number): void {
    if (last <= (this.shown.at(-1)?.last ?? this.told)) return;
    this.shown.push({ at: performance.now(), last });
    this.timer ??= setTimeout(() => this.settle(), SEEN_MS);
  }

  /** Nobody looks any more: what was there too briefly was not seen. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.shown = [];
  }

  private settle(): void {
    this.timer = undefined;
    const now = performance.now();
    for (let first = this.shown[0]; first && first.at + SEEN_MS <= now; first = this.shown[0]) {
      this.shown.shift();
      this.told = first.last;
    }
    const next = this.shown[0];
    if (next) this.timer = setTimeout(() => this.settle(), Math.max(1, next.at + SEEN_MS - now));
    this.tell(this.told);
  }
}
