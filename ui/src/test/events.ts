/** The browser's EventSource, told by the test what it receives. */
import { vi } from 'vitest';

export class FakeSource extends EventTarget {
  readyState = 1;
  close = vi.fn(() => (this.readyState = 2));

  constructor(readonly url: string) {
    super();
  }

  say(name: string, data: unknown, lastEventId = ''): void {
    this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data), lastEventId }));
  }
}
