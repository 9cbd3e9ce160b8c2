/**
 * What stood in a circle's composer when the person began to edit a message: the draft has room for one text, and that is
 * then the edit's. On this device alone, and across restarts.
 */
import type { DraftView } from '../generated/DraftView';

/** What found no room in the storage: here until the page is closed. */
const held = new Map<string, string>();
const keyOf = (campus: string, circle: string): string => `circles.aside.${campus}.${circle}`;

export const aside = {
  of(campus: string, circle: string): DraftView | null {
    const key = keyOf(campus, circle);
    const kept = localStorage.getItem(key) ?? held.get(key);
    return kept ? (JSON.parse(kept) as DraftView) : null;
  },
  lay(campus: string, circle: string, draft: DraftView): void {
    const key = keyOf(campus, circle);
    try {
      localStorage.setItem(key, JSON.stringify(draft));
    } catch {
      localStorage.removeItem(key);
      held.set(key, JSON.stringify(draft));
    }
  },
  take(campus: string, circle: string): void {
    held.delete(keyOf(campus, circle));
    localStorage.removeItem(keyOf(campus, circle));
  },
};
