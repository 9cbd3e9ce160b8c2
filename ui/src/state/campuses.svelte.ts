import type { CampusView } from '../generated/CampusView';
import { api } from '../lib/api';
import { places } from '../lib/places';

/** The campuses that the person belongs to, and which one is shown. */
class Campuses {
  list = $state.raw<CampusView[]>([]);
  currentId = $state<string | null>(null);
  loaded = $state(false);
  /** Why nothing can be shown yet. */
  problem = $state<unknown>(null);

  get current(): CampusView | null {
    return this.list.find((campus) => campus.id === this.currentId) ?? null;
  }

  async load(): Promise<void> {
    try {
      this.list = await api().campuses();
      this.problem = null;
    } catch (error) {
      this.problem = error;
      throw error;
    }
    this.loaded = true;
    if (!this.current) this.currentId = (this.list.find((c) => c.id === places.campus()) ?? this.list[0])?.id ?? null;
  }

  apply(campus: CampusView): void {
    this.list = this.list.map((known) => (known.id === campus.id ? campus : known));
  }

  /** Takes up a campus that was just joined, and shows it. */
  async enter(id: string): Promise<void> {
    await this.load();
    this.select(id);
  }

  select(id: string): void {
    this.currentId = id;
    places.rememberCampus(id);
  }
}

export const campuses = new Campuses();
