/** Long enough to be found by the eye after a jump. */
const HIGHLIGHT_MS = 2_400;

/** The message that one was just taken to. */
export class Highlight {
  id = $state<string | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;

  show(id: string): void {
    this.id = id;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.id = null), HIGHLIGHT_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
