/** Sends what is in the outbox: each circle in order; what may pass is tried again, what is refused fails visibly. */
import { isFailure, words } from '../failure';
import type { Entry, Outbox } from './outbox';
import { isPassing, request } from './request';

const BACKOFF_MS_MAX = 30_000;

export class Sender {
  private attempts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly outbox: Outbox,
    private readonly changed: (circle: string, message: string) => void,
    private readonly sent: (entry: Entry, answer: unknown) => void,
  ) {}

  /** `now`: there is reason to believe that it works again. */
  kick(now = false): void {
    if (now) this.attempts = 0;
    else if (this.timer !== undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const entry of this.outbox.due()) void this.send(entry);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private async send(entry: Entry): Promise<void> {
    this.outbox.mark(entry.key, 'sending');
    try {
      const answer = await post(entry);
      this.attempts = 0;
      // Told before it leaves the outbox: what one wrote is on the screen all the time.
      this.sent(entry, answer);
      this.outbox.done(entry.key);
    } catch (error) {
      const passing = !isFailure(error) || isPassing(error.code);
      this.outbox.mark(entry.key, passing ? 'queued' : 'failed', passing ? null : words(error));
      if (passing) this.later();
    }
    this.changed(entry.circle, entry.message);
  }

  private later(): void {
    const delay = Math.min(BACKOFF_MS_MAX, 500 * 2 ** this.attempts++) * (0.5 + Math.random());
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.kick();
    }, delay);
  }
}

function post({ circle, message, work, written_at }: Entry): Promise<unknown> {
  switch (work.op) {
    case 'post': {
      const { text, reply_to } = work;
      return request('POST', `/circles/${circle}/messages`, { id: message, text, reply_to, written_at });
    }
    case 'edit':
      return request('PATCH', `/messages/${message}`, { text: work.text });
    case 'delete':
      return request('DELETE', `/messages/${message}`);
    case 'react':
      return request('PUT', `/messages/${message}/reactions`, { emoji: work.emoji, on: work.on });
  }
}
