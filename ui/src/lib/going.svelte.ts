/** What is on the screen after one went somewhere has been painted by then. */
const HURRY_MS = 200;

/** Going to other places in a list. */
export class Going {
  /** One has just set out: only the rows that are on the screen are made at first. */
  hurried = $state(false);
  private goes = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Sets out. What it gives says later whether nobody has set out for elsewhere since. */
  start(): () => boolean {
    const mine = (this.goes += 1);
    this.hurried = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.hurried = false), HURRY_MS);
    return () => mine === this.goes;
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
