import { describe, expect, it } from 'vitest';
import type { MessageView } from '../generated/MessageView';
import { Memory } from '../test/memory';
import { rowsOf, type Row, type Window } from './rows';

const NOON = new Date(2026, 10, 24, 12).getTime();
const memory = new Memory();
const at = (seq: number | null, from = 'ada', minute = seq ?? 0): MessageView =>
  memory.message(seq, from, 'text', NOON + minute * 60_000);

function shape(window: Partial<Window>): string {
  return rowsOf({ from: 1, to: 0, messages: [], unsent: [], divider: null, ...window })
    .map((row) => {
      if (row.kind === 'message') return `${row.first ? '*' : ''}${row.message.seq ?? 'unsent'}`;
      return row.kind === 'gap' ? `gap ${row.from}-${row.to}` : row.kind;
    })
    .join(' ');
}

describe('the rows of a timeline', () => {
  it('shows each run of missing numbers as one gap, at the start, in the middle and at the end', () => {
    expect(shape({ from: 1, to: 12, messages: [at(4), at(5), at(9)] })).toBe('gap 1-3 day *4 5 gap 6-8 *9 gap 10-12');
  });

  it('is one gap when nothing is held', () => {
    expect(shape({ from: 5, to: 1204 })).toBe('gap 5-1204');
  });

  it('groups messages of one author within five minutes', () => {
    const messages = [at(1), at(2), at(3, 'bob'), at(4, 'ada', 4), at(5, 'ada', 10)];
    expect(shape({ to: 5, messages })).toBe('day *1 2 *3 *4 *5');
  });

  it('begins each day with its divider', () => {
    expect(shape({ to: 2, messages: [at(1), at(2, 'ada', 24 * 60)] })).toBe('day *1 day *2');
  });

  it('puts the unread divider after what was read, before a gap too', () => {
    expect(shape({ to: 3, divider: 1, messages: [at(1), at(2), at(3)] })).toBe('day *1 unread *2 3');
    expect(shape({ to: 4, divider: 1, messages: [at(1), at(4)] })).toBe('day *1 unread gap 2-3 *4');
    expect(shape({ to: 1, divider: 0, messages: [at(1)] })).toBe('unread day *1');
    expect(shape({ from: 8, to: 8, divider: 3, messages: [at(8)] })).toBe('day *8');
  });

  it('gives what did not change as the same row, and a message with a new header as another', () => {
    const window = { from: 1, to: 3, messages: [at(1), at(2), at(3)], unsent: [], divider: null };
    const [before, after] = [
      rowsOf(window),
      rowsOf({ ...window, to: 4, divider: 2, messages: [...window.messages, at(4)] }),
    ];
    const message = (rows: Row[], seq: number) => rows.find((row) => row.kind === 'message' && row.message.seq === seq);
    expect(message(after, 2)).toBe(message(before, 2));
    expect(message(before, 3)).toMatchObject({ first: false });
    expect(message(after, 3)).toMatchObject({ first: true });
  });

  it('shows the unsent after the end', () => {
    expect(shape({ to: 1, messages: [at(1)], unsent: [at(null, 'ada', 1)] })).toBe('day *1 unsent');
  });
});
