import type { CircleView } from '../generated/CircleView';
import { api } from '../lib/api';
import { places } from '../lib/places';

/** The circles of the campus that is shown, and which one is open. */
class Circles {
  list = $state.raw<CircleView[]>([]);
  campusId = $state<string | null>(null);
  currentId = $state<string | null>(null);
  /** The name of the circle that was open when one left it or was removed from it, until one chooses another. */
  gone = $state<string | null>(null);
  loaded = $state(false);

  joined = $derived(this.list.filter((circle) => circle.joined).sort(byRecency));
  open = $derived(this.list.filter((circle) => !circle.joined).sort((a, b) => a.name.localeCompare(b.name)));
  unsent = $derived(this.list.reduce((sum, circle) => sum + circle.unsent, 0));
  unread = $derived(this.joined.reduce((sum, circle) => sum + (circle.muted ? 0 : circle.unread), 0));

  private asking = new Set<{ campus: string; circles: CircleView[]; gone: string[] }>();

  get current(): CircleView | null {
    return this.list.find((circle) => circle.id === this.currentId) ?? null;
  }

  async load(campus: string): Promise<void> {
    // What came while the answer was under way may be newer.
    const heard = { campus, circles: [] as CircleView[], gone: [] as string[] };
    this.asking.add(heard);
    const list = await api()
      .circles(campus)
      .finally(() => this.asking.delete(heard));
    if (this.campusId !== campus) this.currentId = this.gone = null;
    this.campusId = campus;
    this.take(list);
    this.apply(campus, heard.circles);
    this.drop(campus, heard.gone);
    this.loaded = true;
    if (!this.currentId && !this.gone) {
      const last = places.circle(campus);
      this.currentId = (this.joined.find((circle) => circle.id === last) ?? this.joined[0])?.id ?? null;
    }
  }

  apply(campus: string, changed: CircleView[]): void {
    for (const heard of this.asking) {
      if (heard.campus !== campus) continue;
      heard.circles.push(...changed);
      heard.gone = heard.gone.filter((id) => !changed.some((circle) => circle.id === id));
    }
    if (campus !== this.campusId) return;
    const now = new Map(this.list.map((circle) => [circle.id, circle]));
    for (const circle of changed) now.set(circle.id, circle);
    this.take([...now.values()]);
  }

  /**
   * A circle that one left or was removed from closes; nothing of it stays on screen. No other opens in its place: what one is
   * typing would go there.
   */
  private take(list: CircleView[]): void {
    const before = this.current;
    this.list = list;
    if (!before || this.current?.joined) return;
    this.gone = before.name;
    this.currentId = null;
  }

  /** They are not to be seen any more. */
  drop(campus: string, ids: string[]): void {
    for (const heard of this.asking) if (heard.campus === campus) heard.gone.push(...ids);
    if (campus !== this.campusId || ids.length === 0) return;
    this.take(this.list.filter((circle) => !ids.includes(circle.id)));
  }

  select(id: string): void {
    this.currentId = id;
    this.gone = null;
    if (this.campusId) places.rememberCircle(this.campusId, id);
  }

  /** Goes to the circle above or below the current one in the list. */
  step(by: 1 | -1): void {
    const at = this.joined.findIndex((circle) => circle.id === this.currentId);
    // With none open, down is the first and up the last.
    const to = at < 0 && by < 0 ? -1 : at + by;
    const next = this.joined[(to + this.joined.length) % this.joined.length];
    if (next) this.select(next.id);
  }
}

function byRecency(a: CircleView, b: CircleView): number {
  return (b.last?.at ?? 0) - (a.last?.at ?? 0) || a.name.localeCompare(b.name);
}

export const circles = new Circles();
