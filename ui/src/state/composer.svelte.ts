import type { DraftView } from '../generated/DraftView';
import type { MessageView } from '../generated/MessageView';
import { api } from '../lib/api';
import { aside } from '../lib/aside';

/** The relay's limit of a message's text, in bytes of UTF-8. */
export const TEXT_BYTES_MAX = 16 * 1024;
/** The counter shows from here. */
export const TEXT_BYTES_NEAR = 14 * 1024;
const SAVE_AFTER_MS = 400;

/** What stands in the composer of one circle. Kept as a draft, across circles, restarts and the person's devices. */
export class Composer {
  text = $state('');
  /** Shown with what is answered, if it is at hand. */
  replyTo = $state.raw<MessageView | null>(null);
  replyId = $state<string | null>(null);
  /** The message whose text is changed. What stood here before that is laid aside, and comes back. */
  editing = $state<string | null>(null);
  problem = $state<unknown>(null);
  bytes = $derived(new TextEncoder().encode(this.text).length);
  canSend = $derived(this.text.trim() !== '' && this.bytes <= TEXT_BYTES_MAX);

  private timer: ReturnType<typeof setTimeout> | undefined;
  private saved = EMPTY;
  private loading: Promise<void> | null = null;
  /** Before that nothing is kept: it would write over the draft that is still to come. */
  private loaded = false;
  /** The person is in it: what another device wrote waits. */
  private inUse = false;

  constructor(
    readonly campus: string,
    readonly circle: string,
  ) {}

  /** Takes the draft, and puts what was typed meanwhile after it. */
  load(): Promise<void> {
    this.loading ??= this.begin().catch((error: unknown) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  /** Another device may have changed the draft: it is taken, but never over what is being written here. */
  async refresh(): Promise<void> {
    if (!this.loaded || this.inUse) return;
    const draft = await api().draft(this.campus, this.circle);
    if (!this.inUse && this.now() === this.saved) this.take(draft);
  }

  entered(): void {
    this.inUse = true;
  }

  async left(): Promise<void> {
    this.inUse = false;
    await this.flush();
    await this.refresh();
  }

  typed(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), SAVE_AFTER_MS);
  }

  /** The person changed the text, and not the app. */
  input(): void {
    this.typed();
    // An edit brings nothing new to wait for.
    const on = this.text.trim() !== '' && !this.editing;
    api()
      .typing(this.campus, this.circle, on)
      .catch(() => undefined);
  }

  async flush(): Promise<void> {
    clearTimeout(this.timer);
    if (!this.loaded) return;
    const now = this.now();
    if (now !== this.saved) {
      this.saved = now;
      try {
        await api().setDraft(this.campus, this.circle, this.draft());
      } catch (error) {
        this.saved = '';
        this.problem = error;
        return;
      }
    }
    // What was laid aside is back, and kept.
    if (!this.editing && this.now() === this.saved) aside.take(this.campus, this.circle);
  }

  reply(message: MessageView): void {
    if (this.editing) this.cancel();
    this.replyTo = message;
    this.replyId = message.id;
    this.typed();
  }

  edit(message: Pick<MessageView, 'id' | 'text'>): void {
    if (!this.editing) {
      if (!isEmpty(this.draft())) aside.lay(this.campus, this.circle, this.draft());
      else if (this.loaded) aside.take(this.campus, this.circle);
    }
    this.replyTo = this.replyId = null;
    this.editing = message.id;
    this.text = message.text;
    this.typed();
  }

  /** Leaves the reply or edit state; an edit's text goes with it, and what it took the place of comes back. */
  cancel(): void {
    if (this.editing) this.back();
    else this.replyTo = this.replyId = null;
    this.typed();
  }

  /** Sends or saves. If it is refused, the text stays where it was, before what was typed meanwhile. */
  async submit(): Promise<MessageView | null> {
    if (!this.canSend) return null;
    const { text, editing, replyId, replyTo } = this;
    clearTimeout(this.timer);
    this.problem = null;
    if (editing) this.back();
    else this.put({ text: '', reply_to: null, editing: null });
    try {
      await this.load();
      let sent: MessageView | null = null;
      if (editing) await api().edit(this.campus, this.circle, editing, text.trim());
      else {
        sent = await api().send(this.campus, this.circle, text.trim(), replyId);
        // With the same stroke the draft was emptied.
        this.saved = EMPTY;
      }
      await this.flush();
      return sent;
    } catch (error) {
      this.problem = error;
      if (editing) this.edit({ id: editing, text });
      else if (this.editing) this.layBefore(text, replyId);
      else {
        this.text = joined(text, this.text);
        if (!this.replyId) [this.replyId, this.replyTo] = [replyId, replyTo];
      }
      this.typed();
      return null;
    }
  }

  private async begin(): Promise<void> {
    const kept = await api().draft(this.campus, this.circle);
    const written = this.draft();
    const before = aside.of(this.campus, this.circle);
    if (this.editing) {
      // An edit was begun meanwhile: what would have stood here waits.
      this.saved = key(kept);
      if (kept.editing === null) this.layBefore(kept.text, kept.reply_to);
    } else {
      this.take(kept);
      // The edit before which it was laid aside has ended elsewhere, or with the app.
      if (before && !kept.editing && !kept.text.startsWith(before.text)) {
        this.text = joined(before.text, this.text);
        this.replyId ??= before.reply_to;
      }
      this.text = joined(this.text, written.text);
      if (!this.editing) this.replyId = written.reply_to ?? this.replyId;
    }
    this.loaded = true;
    if (before || this.now() !== this.saved) this.typed();
  }

  /** What was laid aside stands here again; it stays there until it is kept as the draft. */
  private back(): void {
    this.put(aside.of(this.campus, this.circle) ?? NOTHING);
  }

  private layBefore(text: string, reply_to: string | null): void {
    const laid = aside.of(this.campus, this.circle);
    const draft = { text: joined(text, laid?.text ?? ''), reply_to: laid?.reply_to ?? reply_to, editing: null };
    if (!isEmpty(draft)) aside.lay(this.campus, this.circle, draft);
  }

  private take(draft: DraftView): void {
    this.put(draft);
    this.saved = this.now();
  }

  private put(draft: DraftView): void {
    this.text = draft.text;
    this.replyId = draft.reply_to;
    this.replyTo = null;
    this.editing = draft.editing;
  }

  private draft(): DraftView {
    return { text: this.text, reply_to: this.replyId, editing: this.editing };
  }

  private now(): string {
    return key(this.draft());
  }
}

const NOTHING: DraftView = { text: '', reply_to: null, editing: null };
const key = (draft: DraftView): string => JSON.stringify([draft.text, draft.reply_to, draft.editing]);
const EMPTY = key(NOTHING);
const isEmpty = (draft: DraftView): boolean => draft.text.trim() === '' && draft.reply_to === null;
const joined = (...texts: string[]): string => texts.filter((text) => text !== '').join('\n');
