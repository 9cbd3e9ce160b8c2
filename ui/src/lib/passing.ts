/**
 * What is on the screen was read, and so was what one scrolled past to get there. But not what one was taken past: by a
 * search, a link, a day, or by one's own message, which is shown at the end. Pure.
 */
export class Passing {
  private skips = false;
  /** One is on the way: what is on the screen is still what one comes from. */
  private onTheWay = false;

  /** One is taken elsewhere. `skips`: unread lies between, and was not passed over. */
  taken(skips: boolean): void {
    this.skips = this.onTheWay = skips;
  }

  /** The list stands elsewhere than before. */
  arrived(): void {
    this.onTheWay = false;
  }

  /** Whether what is on the screen, beginning with `first` (zero: no number), and all before it was passed over. */
  passes(first: number, unreadFrom: number): boolean {
    // Who is back where the unread begins goes on from there.
    if (!this.onTheWay && first > 0 && first <= unreadFrom) this.skips = false;
    return !this.skips;
  }
}
