/**
 * Sends what is in the outbox: each circle in order; what may pass is tried again, what is refused fails visibly. Sends
 * the read markers too. Only while it is this tab's turn.
 */
import { isFailure, words } from '../failure';
import { Backoff } from './backoff';
import type { Marker, ReadMarkers } from './markers';
import type { Entry, Outbox } from './outbox';
import { isPassing, request } from './request';
import type { Turn } from './turn';

export interface SenderHandlers {
  changed(circle: string, message: string): void;
  sent(entry: Entry, answer: unknown): void;
  /** A read marker was answered; it was taken, or it is as if it had never been. */
  marked(marker: Marker, taken: boolean): void;
}

export class Sender {
  private readonly backoff = new Backoff();
  private readonly underWay = new Set<string>();

  constructor(
    private readonly outbox: Outbox,
    private readonly markers: ReadMarkers,
    private readonly turn: Turn,
    private readonly on: SenderHandlers,
  ) {}

  start(): void {
    this.turn.ask(() => {
      for (const { circle, message } of this.outbox.recover(this.underWay)) this.on.changed(circle, message);
      this.kick(true);
    });
  }

  /** `now`: there is reason to believe that it works again. False if it is another tab's turn. */
  kick(now = false): boolean {
    if (!this.turn.mine()) return false;
    if (now) this.backoff.reset();
    if (this.backoff.waiting) return true;
    for (const { key } of this.outbox.due()) if (!this.underWay.has(key)) void this.send(key);
    for (const marker of this.markers.all()) if (!this.underWay.has(marker.circle)) void this.mark(marker);
    return true;
  }

  stop(): void {
    this.backoff.stop();
    this.turn.leave();
  }

  private async send(key: string): Promise<void> {
    const entry = this.outbox.begin(key);
    if (!entry) return;
    this.underWay.add(key);
    try {
      const answer = await post(entry);
      this.backoff.reset();
      // Told before it leaves the outbox: what one wrote is on the screen all the time.
      this.on.sent(entry, answer);
      this.outbox.sent(entry);
    } catch (error) {
      this.refused(entry, error);
    }
    this.underWay.delete(key);
    this.on.changed(entry.circle, entry.message);
  }

  private refused(entry: Entry, error: unknown): void {
    if (mayPass(error)) {
      this.outbox.later(entry.key);
      this.later();
    } else if (entry.work.op === 'withdraw') {
      // There is nothing to delete, or it is not ours to delete any more: nobody waits to hear of it.
      this.outbox.sent(entry);
    } else if (entry.rewritten && isFailure(error) && error.code === 'id_conflict') {
      this.outbox.amend(entry.key);
    } else {
      this.outbox.failed(entry.key, words(error));
    }
  }

  private async mark(marker: Marker): Promise<void> {
    const { circle, seq } = marker;
    this.underWay.add(circle);
    const refusal: unknown = await request('PUT', `/circles/${circle}/read`, { seq }).then(
      () => null,
      (error: unknown) => error,
    );
    this.underWay.delete(circle);
    if (refusal !== null && mayPass(refusal)) return this.later();
    this.markers.done(marker);
    this.on.marked(marker, refusal === null);
    this.kick();
  }

  private later(): void {
    this.backoff.later(() => this.kick());
  }
}

const mayPass = (error: unknown): boolean => !isFailure(error) || isPassing(error.code);

function post({ circle, message, work, written_at }: Entry): Promise<unknown> {
  switch (work.op) {
    case 'post': {
      const { text, reply_to } = work;
      return request('POST', `/circles/${circle}/messages`, { id: message, text, reply_to, written_at });
    }
    case 'edit':
      return request('PATCH', `/messages/${message}`, { text: work.text });
    case 'delete':
    case 'withdraw':
      return request('DELETE', `/messages/${message}`);
    case 'react':
      return request('PUT', `/messages/${message}/reactions`, { emoji: work.emoji, on: work.on });
  }
}
