import { SvelteSet } from 'svelte/reactivity';
import { api } from '../lib/api';

/** Who of the people that are shown is online. Asked for once, and kept current by what is told. */
class Presence {
  private readonly online = new SvelteSet<string>();
  private shown: { campus: string; circle: string } | null = null;
  /** What was told since the last question: newer than its answer. */
  private told = new Map<string, boolean>();

  has(person: string): boolean {
    return this.online.has(person);
  }

  /** Shows those of a circle; returns how to end that. */
  show(campus: string, circle: string): () => void {
    const shown = { campus, circle };
    this.shown = shown;
    void this.ask();
    return () => {
      if (this.shown !== shown) return;
      this.shown = null;
      this.online.clear();
    };
  }

  /** `person` null: it may be anyone. */
  apply(campus: string, person: string | null, online: boolean): void {
    if (this.shown?.campus !== campus) return;
    if (person === null) return void this.ask();
    this.told.set(person, online);
    this.set(person, online);
  }

  /** Some of what was told may be lost. */
  async ask(): Promise<void> {
    const shown = this.shown;
    if (!shown) return;
    const told = (this.told = new Map());
    // Who cannot be asked about is not shown as online.
    const found = await api()
      .presence(shown.campus, shown.circle)
      .catch(() => []);
    if (this.shown !== shown || this.told !== told) return;
    this.online.clear();
    for (const person of found) this.online.add(person);
    for (const [person, online] of told) this.set(person, online);
  }

  private set(person: string, online: boolean): void {
    if (online) this.online.add(person);
    else this.online.delete(person);
  }
}

export const presence = new Presence();
