import type { DraftView } from '../generated/DraftView';
import type { MessageView } from '../generated/MessageView';
import { api } from '../lib/api';

/** The relay's limit of a message's text, in bytes of UTF-8. */
export const TEXT_BYTES_MAX = 16 * 1024;
/** The counter shows from here. */
export const TEXT_BYTES_NEAR = 14 * 1024;
const SAVE_AFTER_MS = 400;

/** What stands in the composer of one circle. Kept as a draft, across circles, restarts and the person's devices. */
export class Composer {
  text = $state('');
  replyTo = $state.raw<MessageView | null>(null);
  replyId = $state<string | null>(null);
  editing = $state.raw<MessageView | null>(null);
  problem = $state<unknown>(null);
  bytes = $derived(new TextEncoder().encode(this.text).length);
  canSend = $derived(this.text.trim() !== '' && this.bytes <= TEXT_BYTES_MAX);

  private timer: ReturnType<typeof setTimeout> | undefined;
  private saved = '';
  /** The person is in it: what another device wrote waits. */
  private inUse = false;
  private find: (id: string) => MessageView | null = () => null;

  constructor(
    readonly campus: string,
    readonly circle: string,
  ) {}

  /** `find` looks up what the draft answers or edits among what is loaded. */
  async load(find: (id: string) => MessageView | null): Promise<void> {
    this.find = find;
    const draft = await api().draft(this.campus, this.circle);
    if (this.text === '') this.take(draft);
  }

  /** Another device may have changed the draft: it is taken, but never over what is being written here. */
  async refresh(): Promise<void> {
    const draft = this.inUse ? null : await api().draft(this.campus, this.circle);
    if (draft && !this.inUse && this.now() === this.saved) this.take(draft);
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
    const now = this.now();
    if (now === this.saved) return;
    this.saved = now;
    const draft = { text: this.text, reply_to: this.replyId, editing: this.editing?.id ?? null };
    try {
      await api().setDraft(this.campus, this.circle, draft);
    } catch (error) {
      this.saved = '';
      this.problem = error;
    }
  }

  reply(message: MessageView): void {
    if (this.editing) this.cancel();
    this.replyTo = message;
    this.replyId = message.id;
    this.typed();
  }

  edit(message: MessageView): void {
    this.replyTo = null;
    this.replyId = null;
    this.editing = message;
    this.text = message.text;
    this.typed();
  }

  /** Leaves the reply or edit state; an edit's text goes with it. */
  cancel(): void {
    if (this.editing) this.text = '';
    this.editing = null;
    this.replyTo = null;
    this.replyId = null;
    this.typed();
  }

  /** Sends or saves. If it is refused, the text stays where it was. */
  async submit(): Promise<MessageView | null> {
    if (!this.canSend) return null;
    const { text, replyId, editing } = this;
    const words = text.trim();
    this.text = '';
    this.problem = null;
    try {
      if (editing) await api().edit(this.campus, this.circle, editing.id, words);
      const sent = editing ? null : await api().send(this.campus, this.circle, words, replyId);
      // What was typed meanwhile stays.
      this.editing = this.replyTo = this.replyId = null;
      await this.flush();
      return sent;
    } catch (error) {
      if (this.text === '') this.text = text;
      this.problem = error;
      return null;
    }
  }

  private take(draft: DraftView): void {
    this.text = draft.text;
    this.replyId = draft.reply_to;
    this.replyTo = draft.reply_to ? this.find(draft.reply_to) : null;
    this.editing = draft.editing ? this.find(draft.editing) : null;
    this.saved = this.now();
  }

  private now(): string {
    return JSON.stringify([this.text, this.replyId, this.editing?.id ?? null]);
  }
}
