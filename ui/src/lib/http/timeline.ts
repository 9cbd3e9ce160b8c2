/** What the page holds of one circle's messages and reactions. State, not deltas: only what is newer is applied. Pure. */
import type { Anchor } from '../../generated/Anchor';
import type { Message } from '../../generated/Message';
import type { Reaction } from '../../generated/Reaction';

export class CircleLog {
  private readonly byId = new Map<string, Message>();
  private readonly bySeq = new Map<number, Message>();
  private readonly reactions = new Map<string, Map<string, Reaction>>();

  /** Whether it was news. */
  message(message: Message): boolean {
    const held = this.byId.get(message.id);
    if (held && held.version >= message.version) return false;
    this.byId.set(message.id, message);
    this.bySeq.set(message.seq, message);
    return true;
  }

  reaction(reaction: Reaction): boolean {
    const key = `${reaction.person_id} ${reaction.emoji}`;
    const all = this.reactions.get(reaction.message_id) ?? new Map<string, Reaction>();
    const held = all.get(key);
    if (held && held.version >= reaction.version) return false;
    all.set(key, reaction);
    this.reactions.set(reaction.message_id, all);
    return true;
  }

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  range(from: number, to: number): Message[] {
    const messages: Message[] = [];
    for (let seq = from; seq <= to; seq++) {
      const message = this.bySeq.get(seq);
      if (message) messages.push(message);
    }
    return messages;
  }

  complete(from: number, to: number): boolean {
    for (let seq = from; seq <= to; seq++) if (!this.bySeq.has(seq)) return false;
    return true;
  }

  reactionsOf(message: string): Reaction[] {
    return [...(this.reactions.get(message)?.values() ?? [])].filter((reaction) => reaction.on);
  }

  /** After a gap nobody knows which edits were missed: everything is taken anew. */
  clear(): void {
    this.byId.clear();
    this.bySeq.clear();
    this.reactions.clear();
  }
}

/** The stretch of `seq` that an anchor asks for; empty (`from > to`) if there is none. */
export function windowOf(anchor: Anchor, limit: number, head: number, read: number): { from: number; to: number } {
  const upTo = (to: number) => ({ from: Math.max(1, to - limit + 1), to });
  const around = (seq: number) => {
    const from = Math.max(1, Math.min(seq - Math.floor(limit / 2), head - limit + 1));
    return { from, to: Math.min(head, from + limit - 1) };
  };
  switch (anchor.at) {
    case 'latest':
      return upTo(head);
    case 'unread':
      return read < head ? around(read + 1) : upTo(head);
    case 'before':
      return upTo(Math.min(head, anchor.seq - 1));
    case 'after':
      return { from: anchor.seq + 1, to: Math.min(head, anchor.seq + limit) };
    case 'around':
      return around(Math.min(anchor.seq, Math.max(head, 1)));
  }
}
