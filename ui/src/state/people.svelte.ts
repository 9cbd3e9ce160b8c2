import type { PersonView } from '../generated/PersonView';
import { api } from '../lib/api';

/** The people of a circle, or of the campus. */
export class People {
  list = $state.raw<PersonView[]>([]);
  loaded = $state(false);
  problem = $state<unknown>(null);

  constructor(
    readonly campus: string,
    readonly circle: string | null,
  ) {}

  async load(query = ''): Promise<void> {
    try {
      this.list = await api().people(this.campus, this.circle, query);
      this.loaded = true;
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
  }
}
