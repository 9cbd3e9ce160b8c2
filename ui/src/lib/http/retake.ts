/** Takes the snapshot anew after a gap, and goes on trying until it is there. */
import type { Me } from '../../generated/Me';
import { Backoff } from './backoff';
import { request } from './request';

/** A snapshot that is newer than this and yet has a gap after it: the next one is not taken at once. */
const SETTLED_MS = 30_000;

export interface RetakeHandlers {
  taken(snapshot: Me): void;
  failed(error: unknown, retryAt: number): void;
}

export class Retake {
  private readonly backoff = new Backoff();
  private asking = false;
  private stopped = false;
  private takenAt = 0;

  constructor(private readonly on: RetakeHandlers) {}

  /** There is a gap after the last snapshot. */
  gap(): void {
    if (Date.now() - this.takenAt < SETTLED_MS) {
      this.backoff.later(() => void this.take());
    } else {
      this.backoff.reset();
      void this.take();
    }
  }

  /** Does not wait any longer. False if there is nothing to take anew. */
  now(): boolean {
    if (this.backoff.waiting) {
      this.backoff.reset();
      void this.take();
    }
    return this.asking;
  }

  stop(): void {
    this.stopped = true;
    this.backoff.stop();
  }

  private async take(): Promise<void> {
    this.asking = true;
    const answer = await request<Me>('GET', '/me').then(
      (snapshot) => ({ snapshot }),
      (error: unknown) => ({ error }),
    );
    this.asking = false;
    if (this.stopped) return;
    if ('snapshot' in answer) {
      this.takenAt = Date.now();
      this.on.taken(answer.snapshot);
    } else {
      const wait = this.backoff.later(() => void this.take());
      this.on.failed(answer.error, Date.now() + wait);
    }
  }
}
