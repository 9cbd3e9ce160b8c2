import { expect, it } from 'vitest';
import { Memory } from '../test/memory';
import { Timeline } from './timeline.svelte';

const memory = new Memory();
const at = (seq: number) => memory.message(seq, 'ada', 'text', seq);

function atTheEndOf(head: number): Timeline {
  const timeline = new Timeline('campus', 'circle');
  timeline.messages = Array.from({ length: head }, (_, n) => at(n + 1));
  timeline.to = timeline.head = head;
  timeline.loaded = true;
  return timeline;
}

it('follows a message that comes at the end', () => {
  const timeline = atTheEndOf(20);
  timeline.apply([at(21)], []);
  expect(timeline.atEnd).toBe(true);
  expect(timeline.messages.at(-1)?.seq).toBe(21);
});

it('stays where the unread begins when an absence has moved the end far away', () => {
  const timeline = atTheEndOf(20);
  timeline.apply([at(5_000)], []);
  expect(timeline.head).toBe(5_000);
  expect(timeline.atEnd).toBe(false);
  expect(timeline.from).toBe(1);
  expect(timeline.holds(21)).toBe(true);
  expect(timeline.messages.at(-1)?.seq).toBe(20);
  expect(timeline.rows.at(-1)?.kind).toBe('gap');
});
