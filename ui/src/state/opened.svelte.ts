import { api } from '../lib/api';
import { words } from '../lib/failure';
import { places } from '../lib/places';
import { campuses } from './campuses.svelte';
import { circles } from './circles.svelte';
import { Composer } from './composer.svelte';
import { Timeline } from './timeline.svelte';
import { view } from './view.svelte';

const READ_AFTER_MS = 400;

/** The circle that is looked at: its timeline and its composer. */
class Opened {
  timeline = $state.raw<Timeline | null>(null);
  composer = $state.raw<Composer | null>(null);

  /** What is to be shown of a circle that is being opened. */
  private target: { circle: string; seq: number } | null = null;
  private readTimer: ReturnType<typeof setTimeout> | undefined;

  shows(campus: string, circle: string | null): boolean {
    return this.timeline?.campus === campus && (circle === null || this.timeline.circle === circle);
  }

  async open(campus: string | null, circle: string | null): Promise<void> {
    if (campus && this.shows(campus, circle) && circle) return;
    this.flush();
    if (!campus || !circle) {
      this.timeline = this.composer = null;
      return;
    }
    const timeline = new Timeline(campus, circle);
    const composer = new Composer(campus, circle);
    this.timeline = timeline;
    this.composer = composer;
    const seq = this.target?.circle === circle ? this.target.seq : null;
    this.target = null;
    timeline.target = seq;
    // Not after the timeline: one may write as soon as there is a composer.
    const drafted = composer.load().catch((error: unknown) => view.say(words(error)));
    await timeline.open(seq === null ? { at: 'unread' } : { at: 'around', seq });
    await drafted;
    try {
      // Meanwhile one may look at another.
      if (this.timeline === timeline) await api().focus(campus, circle);
    } catch (error) {
      view.say(words(error));
    }
  }

  /** Shows a circle of any campus; of the one that is shown already, where the unread begins. */
  show(campus: string, circle: string): void {
    view.inCircle = true;
    if (this.shows(campus, circle) && this.timeline) {
      if (this.timeline.unreadFrom <= this.timeline.head) this.timeline.target = 'unread';
      return;
    }
    if (campuses.currentId === campus) return circles.select(circle);
    places.rememberCircle(campus, circle);
    campuses.select(campus);
  }

  /** Shows a message in its place, in whichever circle it is. */
  goTo(campus: string, circle: string, seq: number): void {
    view.inCircle = true;
    if (this.shows(campus, circle) && this.timeline) {
      this.timeline.target = seq;
      return;
    }
    this.target = { circle, seq };
    circles.select(circle);
  }

  /** A message was on the screen of a window with the focus. */
  seen(seq: number): void {
    const timeline = this.timeline;
    if (!timeline || seq < timeline.unreadFrom) return;
    timeline.seen = seq;
    this.readTimer ??= setTimeout(() => this.markRead(), READ_AFTER_MS);
  }

  /** What one leaves is kept: what was seen, and what was typed. */
  flush(): void {
    if (this.readTimer !== undefined) this.markRead();
    void this.composer?.flush();
  }

  private markRead(): void {
    clearTimeout(this.readTimer);
    this.readTimer = undefined;
    const timeline = this.timeline;
    if (!timeline) return;
    const seq = timeline.seen;
    api()
      .markRead(timeline.campus, timeline.circle, seq)
      .then(() => timeline.reads(seq))
      // Whoever serves keeps markers while offline. If even that fails, it is marked when it is next seen.
      .catch(() => (timeline.seen = timeline.read));
  }
}

export const opened = new Opened();
