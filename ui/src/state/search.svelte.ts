import type { FoundMessage } from '../generated/FoundMessage';
import type { SearchView } from '../generated/SearchView';
import { api } from '../lib/api';
import { circles } from './circles.svelte';
import { view } from './view.svelte';

const PAGE = 30;
/** What is not searched yet may be soon: then the answer is taken anew. */
const AGAIN_MS = 1_000;

/** What is searched for, and what was found. One question is on its way at a time; an answer to an older one is dropped. */
export class Search {
  query = $state('');
  found = $state.raw<SearchView | null>(null);
  messages = $state.raw<FoundMessage[]>([]);
  problem = $state<unknown>(null);

  private frame = 0;
  private asking = false;
  private again: ReturnType<typeof setTimeout> | undefined;

  /** Opens the search with a beginning of what is searched for. */
  begin(query: string): void {
    this.query = query;
    this.found = null;
    this.messages = [];
    this.problem = null;
    view.dialog = 'search';
    if (query.trim()) this.typed();
  }

  /** The query changed: it is asked for with the next frame, or when the question on its way is answered. */
  typed(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.again);
    this.frame = requestAnimationFrame(() => void this.ask());
  }

  /** Nothing more is asked for. */
  end(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.again);
    this.query = '';
  }

  /** Older messages. */
  async more(): Promise<void> {
    const [campus, query, after] = [circles.campusId, this.query, this.found?.more];
    if (!campus || !after || this.asking) return;
    await this.alone(async () => {
      const found = await api().search(campus, query, after, PAGE);
      if (query !== this.query || !this.found) return;
      this.found = { ...this.found, more: found.more };
      this.messages = [...this.messages, ...found.messages];
    });
  }

  private async ask(): Promise<void> {
    const [campus, query] = [circles.campusId, this.query];
    if (!query.trim() || !campus || !api().can.search) {
      this.found = null;
      this.messages = [];
      return;
    }
    if (this.asking) return;
    await this.alone(async () => {
      const found = await api().search(campus, query, null, PAGE);
      if (query !== this.query) return;
      this.found = found;
      this.messages = found.messages;
      if (found.covered.partly.length > 0) this.again = setTimeout(() => this.refresh(query), AGAIN_MS);
    });
  }

  /** Not once one has read on: what is on the screen stays. */
  private refresh(query: string): void {
    if (query === this.query && this.messages.length <= PAGE) void this.ask();
  }

  private async alone(question: () => Promise<void>): Promise<void> {
    const query = this.query;
    this.asking = true;
    try {
      await question();
      this.problem = null;
    } catch (error) {
      this.problem = error;
    }
    this.asking = false;
    if (query !== this.query) await this.ask();
  }
}

export const search = new Search();
