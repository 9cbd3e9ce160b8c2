/** Who types where, and how often one says it oneself. Held in this page alone, while there is a stream. */
import type { Typing as TypingEvent } from '../../generated/Typing';

/** Somebody counts as typing for this long if nothing more is heard. */
const LASTS_MS = 6_000;
/** One's own typing in a circle is said at most this often. */
const PAUSE_MS = 3_000;
/** From three on it only says that several do. */
const PEOPLE_MAX = 8;

interface TypingHandlers {
  /** Others began or stopped in this circle. */
  changed(circle: string): void;
  /** The relay is to be told of oneself. */
  say(circle: string, on: boolean): void;
}

export class Typing {
  private readonly others = new Map<string, Map<string, ReturnType<typeof setTimeout>>>();
  private readonly own = new Map<string, number>();

  constructor(private readonly on: TypingHandlers) {}

  heard({ circle_id, person_id, on }: TypingEvent): void {
    if (!on) return this.stopped(circle_id, person_id);
    const people = this.others.get(circle_id) ?? new Map<string, ReturnType<typeof setTimeout>>();
    this.others.set(circle_id, people);
    const known = people.has(person_id);
    if (!known && people.size >= PEOPLE_MAX) return;
    clearTimeout(people.get(person_id));
    people.set(
      person_id,
      setTimeout(() => this.stopped(circle_id, person_id), LASTS_MS),
    );
    if (!known) this.on.changed(circle_id);
  }

  /** They said so, their message is there, or nothing more was heard. */
  stopped(circle: string, person: string): void {
    const people = this.others.get(circle);
    clearTimeout(people?.get(person));
    if (!people?.delete(person)) return;
    if (people.size === 0) this.others.delete(circle);
    this.on.changed(circle);
  }

  /** There is no stream any more: nobody is known to type. */
  clear(): void {
    this.own.clear();
    const before = [...this.others];
    this.others.clear();
    for (const [circle, people] of before) {
      for (const timer of people.values()) clearTimeout(timer);
      this.on.changed(circle);
    }
  }

  /** In the order in which they began. */
  people(circle: string): string[] {
    return [...(this.others.get(circle)?.keys() ?? [])];
  }

  /** One types oneself, or no longer; may be called with every key. */
  types(circle: string, on: boolean): void {
    const ago = Date.now() - (this.own.get(circle) ?? -Infinity);
    if (on ? ago < PAUSE_MS : !this.own.delete(circle) || ago >= LASTS_MS) return;
    if (on) this.own.set(circle, Date.now());
    this.on.say(circle, on);
  }
}
