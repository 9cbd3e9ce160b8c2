import { expect, it } from 'vitest';
import { serve } from '../lib/api';
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

/** A timeline that is open at its end, its campus, and where it is asked about from then on. */
async function openAtTheEnd(): Promise<{ campus: Memory; timeline: Timeline; asked: string[] }> {
  const campus = new Memory();
  const asked: string[] = [];
  const answer = campus.timeline;
  campus.timeline = async (...args) => {
    asked.push(args[2].at);
    return structuredClone(await answer(...args));
  };
  serve(campus);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  asked.length = 0;
  return { campus, timeline, asked };
}

it('is taken anew once more, however often that is wanted meanwhile', async () => {
  const { timeline, asked } = await openAtTheEnd();
  await Promise.all([timeline.refresh(), timeline.refresh(), timeline.refresh(), timeline.refresh()]);
  expect(asked).toEqual(['after', 'after']);
});

it('opens another place first, and then need not be taken anew', async () => {
  const { campus, timeline, asked } = await openAtTheEnd();
  const anew = [timeline.refresh(), timeline.refresh()];
  campus.arrive('ball', 'just now');
  await Promise.all([...anew, timeline.open({ at: 'latest' })]);
  expect(asked).toEqual(['after', 'latest']);
  expect(timeline.messages.at(-1)?.text).toBe('just now');
  await timeline.refresh();
  expect(asked).toEqual(['after', 'latest', 'after']);
});

it('keeps the messages that say the same when it takes them anew', async () => {
  const { campus, timeline } = await openAtTheEnd();
  const before = timeline.messages;
  campus.held = campus.held.map((m) => (m.seq === 79 ? { ...m, text: 'edited', edited: true } : m));
  await timeline.refresh();
  expect(timeline.messages.map((m) => m.seq)).toEqual(before.map((m) => m.seq));
  const { rows } = timeline;
  await timeline.refresh();
  expect(timeline.rows).toBe(rows);
  const changed = timeline.messages.filter((m, i) => m !== before[i]);
  expect(changed.map((m) => m.text)).toEqual(['edited']);
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
