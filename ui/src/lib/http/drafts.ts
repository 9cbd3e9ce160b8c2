/** What stands in each composer, in the browser's storage. */
import type { DraftView } from '../../generated/DraftView';
import { keep, type Store } from './store';

const NONE: DraftView = { text: '', reply_to: null, editing: null };

export class Drafts {
  constructor(
    private readonly store: Store,
    private readonly campus: string,
  ) {}

  get(circle: string): DraftView {
    const kept = this.store.getItem(this.key(circle));
    return kept ? (JSON.parse(kept) as DraftView) : NONE;
  }

  has(circle: string): boolean {
    return this.store.getItem(this.key(circle)) !== null;
  }

  set(circle: string, draft: DraftView): void {
    if (draft.text === '' && !draft.reply_to) this.store.removeItem(this.key(circle));
    else keep(this.store, this.key(circle), JSON.stringify(draft));
  }

  private key(circle: string): string {
    return `circles.draft.${this.campus}.${circle}`;
  }
}
