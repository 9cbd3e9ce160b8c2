/**
 * From a window of a timeline to the rows that are shown (design 3.4): dense `seq` makes what is missing visible by
 * arithmetic. Pure.
 */
import type { MessageView } from '../generated/MessageView';
import { dayOf } from './time';

/** A later message of the same author within this time needs no second header. */
const GROUP_MS = 5 * 60_000;

export type Row =
  | { kind: 'day'; key: string; at: number }
  | { kind: 'unread'; key: string }
  | { kind: 'gap'; key: string; from: number; to: number }
  | { kind: 'message'; key: string; message: MessageView; first: boolean };

export interface Window {
  from: number;
  to: number;
  /** Ascending by `seq`, within `from..=to`. */
  messages: MessageView[];
  unsent: MessageView[];
  /** The unread divider goes after this number; none: no divider. */
  divider: number | null;
}

/** The row that a message was last shown by: what did not change is the same object, and nothing is done for it. */
const shown = new WeakMap<MessageView, Row & { kind: 'message' }>();

export function rowsOf(window: Window): Row[] {
  const rows: Row[] = [];
  let before: MessageView | null = null;
  let day: number | null = null;
  let divided = window.divider === null;
  let next = window.from;

  const divide = (seq: number): void => {
    if (divided || window.divider === null || seq <= window.divider) return;
    divided = true;
    // A window that begins long after the divider: what divides lies above it.
    if (window.from > window.divider + 1) return;
    rows.push({ kind: 'unread', key: 'unread' });
    before = null;
  };
  const gap = (from: number, to: number): void => {
    if (from > to) return;
    divide(from);
    rows.push({ kind: 'gap', key: `gap-${to}`, from, to });
    before = null;
  };
  const show = (message: MessageView): void => {
    const its = dayOf(message.at);
    if (its !== day) {
      rows.push({ kind: 'day', key: `day-${message.seq ?? message.id}`, at: message.at });
      before = null;
      day = its;
    }
    rows.push(rowOf(message, !joins(before, message)));
    before = message;
  };

  for (const message of window.messages) {
    const seq = message.seq ?? 0;
    if (seq < next || seq > window.to) continue;
    gap(next, seq - 1);
    divide(seq);
    show(message);
    next = seq + 1;
  }
  gap(next, window.to);
  for (const message of window.unsent) show(message);
  return rows;
}

function rowOf(message: MessageView, first: boolean): Row {
  const known = shown.get(message);
  if (known?.first === first) return known;
  const row = { kind: 'message', key: message.id, message, first } as const;
  shown.set(message, row);
  return row;
}

/** Whether a message goes under the header of the one before it. */
export function joins(before: MessageView | null, message: MessageView): boolean {
  return (
    before !== null &&
    before.author.id === message.author.id &&
    !message.reply &&
    Math.abs(message.at - before.at) <= GROUP_MS
  );
}

/** The first row with this number or a later one; -1: there is none. */
export function rowFrom(rows: Row[], seq: number): number {
  return rows.findIndex((row) =>
    row.kind === 'message' ? (row.message.seq ?? 0) >= seq : row.kind === 'gap' && row.to >= seq,
  );
}

/** The numbers of some rows: the first and the last, with what is missing, the last message, and what is missing. */
export function numbersOf(rows: Row[]): { first: number; last: number; message: number; gaps: [number, number][] } {
  const its = { first: 0, last: 0, message: 0, gaps: [] as [number, number][] };
  for (const row of rows) {
    if (row.kind === 'message' && row.message.seq !== null) {
      its.message = row.message.seq;
      its.last = row.message.seq;
      its.first ||= row.message.seq;
    } else if (row.kind === 'gap') {
      its.gaps.push([row.from, row.to]);
      its.last = row.to;
      its.first ||= row.from;
    }
  }
  return its;
}
