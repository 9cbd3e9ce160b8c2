/**
 * Sends what is in the outbox: each circle in order; what may pass is tried again, what is refused fails visibly. Sends
 * the read markers, mutes and drafts too. Only while it is this tab's turn.
 */
import type { Draft } from '../../generated/Draft';
import type { Mute } from '../../generated/Mute';
import { isFailure, words } from '../failure';
import { Backoff } from './backoff';
import type { Marker, ReadMarkers } from './markers';
import type { Entry, Outbox } from './outbox';
import type { Own } from './own';
import { isPassing, request } from './request';
import type { Turn } from './turn';

export interface SenderHandlers {
  changed(circle: string, message: string): void;
  sent(entry: Entry, answer: unknown): void;
  /** A read marker was answered; it was taken, or it is as if it had never been. */
  marked(marker: Marker, taken: boolean): void;
  /** A mute or draft was answered: it now has this state. */
  told(entity: Mute | Draft): void;
  /** One of a circle does not wait any more. */
  settled(circle: string): void;
}

/** Of the age of a state, in ms: what is longer ago is as old as can be. */
const AGE_MAX = 2 ** 32 - 1;

export class Sender {
  private readonly backoff = new Backoff();
  private readonly underWay = new Set<string>();
  private resting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly outbox: Outbox,
    private readonly markers: ReadMarkers,
    private readonly own: Own[],
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
    for (const states of this.own) this.kickOwn(states);
    return true;
  }

  stop(): void {
    clearTimeout(this.resting);
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
    } else if (!isFailure(error) || error.code !== 'reply_unknown' || !this.outbox.answersNothing(entry.key)) {
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

  private kickOwn(states: Own): void {
    const waiting = states.rests(Date.now()).filter(([circle]) => !this.underWay.has(`${states.name} ${circle}`));
    for (const [circle, rest] of waiting) if (rest === 0) void this.tell(states, circle);
    const next = Math.min(...waiting.map(([, rest]) => rest).filter((rest) => rest > 0));
    if (next === Infinity) return;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.kick(), next);
  }

  private async tell(states: Own, circle: string): Promise<void> {
    const it = states.begin(circle);
    if (!it) return;
    const key = `${states.name} ${circle}`;
    this.underWay.add(key);
    const age_ms = Math.min(Math.max(0, Date.now() - it.at), AGE_MAX);
    try {
      const entity = await request<Mute | Draft>('PUT', `/circles/${circle}/${states.name}`, {
        ...it.body,
        age_ms,
      });
      this.on.told(entity);
      states.done(circle, it.at);
    } catch (error) {
      if (mayPass(error)) {
        this.underWay.delete(key);
        return this.later();
      }
      if (isFailure(error) && OUT.includes(error.code)) states.done(circle, it.at);
      else states.refuse(circle, it.at);
    }
    this.underWay.delete(key);
    this.on.settled(circle);
    this.kick();
  }

  private later(): void {
    this.backoff.later(() => this.kick());
  }
}

/** One is not in the circle any more. */
const OUT = ['not_member', 'not_found'];

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
