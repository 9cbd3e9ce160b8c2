/** From the relay's entities to what is shown. Pure. */
import type { CircleState } from '../../generated/CircleState';
import type { CircleView } from '../../generated/CircleView';
import type { Delivery } from '../../generated/Delivery';
import type { Message } from '../../generated/Message';
import type { MessageView } from '../../generated/MessageView';
import type { Person } from '../../generated/Person';
import type { PersonView } from '../../generated/PersonView';
import type { Reaction } from '../../generated/Reaction';
import type { ReactionView } from '../../generated/ReactionView';
import type { ReplyView } from '../../generated/ReplyView';
import type { StrandedView } from '../../generated/StrandedView';
import type { Entry } from './outbox';
import type { CircleLog } from './timeline';

const SHORT_CHARS = 140;
/** A message that was written this much earlier says so. */
const WRITTEN_MS = 60_000;
const NAMES_MAX = 10;

const short = (text: string): string => [...text].slice(0, SHORT_CHARS).join('');

export interface Known {
  me: Person;
  people: Map<string, Person>;
}

export function personView(person: Person): PersonView {
  return { id: person.id, name: person.name, hue: person.hue, role: person.role };
}

export function personOf(known: Known, id: string): PersonView {
  const person = known.people.get(id);
  return person ? personView(person) : { id, name: 'Someone', hue: 0, role: 'member' };
}

export function circleView(
  state: CircleState,
  known: Known,
  waiting: Entry[],
  own: { draft: boolean; muted: boolean },
): CircleView {
  const { circle, membership, last } = state;
  const joined = membership?.state === 'joined';
  return {
    id: circle.id,
    name: circle.name,
    topic: circle.topic,
    access: circle.access,
    joined,
    role: joined ? membership.role : null,
    members: state.members,
    head_seq: state.head_seq,
    read_seq: state.read_seq,
    unread: state.unread,
    // The page holds too little to know.
    mentions: 0,
    first_mention: null,
    last: last && {
      author: state.last_author?.name ?? personOf(known, last.author_id).name,
      mine: last.author_id === known.me.id,
      text: short(last.text),
      deleted: last.deleted_at !== null,
      at: last.created_at,
    },
    missing: 0,
    unsent: waiting.filter((entry) => entry.work.op === 'post' && entry.state !== 'failed').length,
    failed: waiting.filter((entry) => entry.state === 'failed').length,
    ...own,
  };
}

export function messageView(message: Message, log: CircleLog, known: Known, waiting: Entry[]): MessageView {
  // What was refused is not as they wanted it, and nobody must believe that it is.
  const hopeful = waiting.filter((entry) => entry.state !== 'failed');
  const edit = hopeful.findLast((entry) => entry.work.op === 'edit');
  const gone = hopeful.some(({ work }) => work.op === 'delete' || work.op === 'withdraw');
  const removed = gone || message.deleted_at !== null;
  const pending = waiting.find((entry) => entry.state === 'failed') ?? waiting.find((e) => e.work.op !== 'react');
  const early = message.written_at !== null && message.created_at - message.written_at > WRITTEN_MS;
  return {
    id: message.id,
    seq: message.seq,
    author: personOf(known, message.author_id),
    mine: message.author_id === known.me.id,
    text: removed ? '' : edit?.work.op === 'edit' ? edit.work.text : message.text,
    reply: message.reply_to ? replyView(message.reply_to, log, known) : null,
    reactions: removed ? [] : reactionViews(log.reactionsOf(message.id), known),
    at: message.created_at,
    written_at: early ? message.written_at : null,
    edited: message.edited_at !== null,
    deleted: removed,
    delivery: pending ? delivery(pending) : { state: 'sent' },
  };
}

/** `refused`: the first post of its circle that was. */
export function unsentView(entry: Entry, log: CircleLog, known: Known, refused?: Entry): MessageView {
  const work = entry.work.op === 'post' ? entry.work : { text: '', reply_to: null };
  return {
    id: entry.message,
    seq: null,
    author: personView(known.me),
    mine: true,
    text: work.text,
    reply: work.reply_to ? replyView(work.reply_to, log, known) : null,
    reactions: [],
    at: entry.written_at,
    written_at: null,
    edited: false,
    deleted: false,
    delivery:
      entry.state === 'queued' && refused && refused.key < entry.key
        ? { state: 'blocked', by: refused.message }
        : delivery(entry),
  };
}

function delivery({ state, reason, work }: Entry): Delivery {
  if (state !== 'failed') return { state };
  const what = work.op === 'withdraw' ? 'delete' : work.op;
  return { state, what, reason, text: work.op === 'edit' ? work.text : null };
}

function replyView(id: string, log: CircleLog, known: Known): ReplyView {
  const message = log.get(id);
  if (!message) return { id, seq: null, author: null, text: null };
  return {
    id,
    seq: message.seq,
    author: personOf(known, message.author_id).name,
    text: message.deleted_at === null ? short(message.text) : null,
  };
}

function reactionViews(reactions: Reaction[], known: Known): ReactionView[] {
  const byEmoji = new Map<string, Reaction[]>();
  for (const reaction of [...reactions].sort((a, b) => a.version - b.version)) {
    byEmoji.set(reaction.emoji, [...(byEmoji.get(reaction.emoji) ?? []), reaction]);
  }
  return [...byEmoji].map(([emoji, all]) => ({
    emoji,
    count: all.length,
    mine: all.some((reaction) => reaction.person_id === known.me.id),
    names: all.slice(0, NAMES_MAX).map((reaction) => personOf(known, reaction.person_id).name),
  }));
}

/** Nothing for a message that was given up. */
export function strandedView(entry: Entry, state: CircleState | undefined): StrandedView[] {
  const { message, circle, work, written_at, reason } = entry;
  if (work.op === 'withdraw') return [];
  const text = work.op === 'react' ? work.emoji : work.op === 'delete' ? '' : work.text;
  const named = { message_id: message, circle_id: circle, circle: state?.circle.name ?? null };
  return [{ ...named, what: work.op, text, at: written_at, reason }];
}
