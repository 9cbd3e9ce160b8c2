import { SvelteMap } from 'svelte/reactivity';
import type { PersonView } from '../generated/PersonView';

/** Who types, in every circle: one may be opened in which somebody already does. Whoever serves lets it expire. */
class Typing {
  private readonly people = new SvelteMap<string, PersonView[]>();

  of(circle: string): PersonView[] {
    return this.people.get(circle) ?? [];
  }

  apply(circle: string, people: PersonView[]): void {
    if (people.length > 0) this.people.set(circle, people);
    else this.people.delete(circle);
  }

  /** Updates were lost, perhaps the last of some: what still lasts is shown when it changes. */
  clear(): void {
    this.people.clear();
  }
}

export const typing = new Typing();
