import { beforeEach, expect, it, vi } from 'vitest';
import { serve } from '../lib/api';
import { Memory } from '../test/memory';
import { opened } from './opened.svelte';
import { applyUpdate } from './updates';

let memory: Memory;
let marked: [string, number][];

beforeEach(async () => {
  await opened.open(null, null);
  memory = new Memory();
  marked = [];
  memory.markRead = async (_, circle, seq) => void marked.push([circle, seq]);
  serve(memory);
});

it('marks what was seen in a circle when one goes on to another', async () => {
  await opened.open('campus', 'rust');
  opened.seen(78);
  expect(marked).toEqual([]);
  await opened.open('campus', 'general');
  expect(marked).toEqual([['rust', 78]]);
});

it('marks what is seen in a lively circle without waiting for it to be quiet', async () => {
  await opened.open('campus', 'rust');
  vi.useFakeTimers();
  try {
    for (let seq = 75; seq <= 80; seq += 1) {
      opened.seen(seq);
      vi.advanceTimersByTime(200);
    }
    expect(marked.map(([, seq]) => seq)).toEqual([76, 78, 80]);
  } finally {
    vi.useRealTimers();
  }
});

it('marks it once more if that failed', async () => {
  await opened.open('campus', 'rust');
  memory.markRead = () => Promise.reject(new Error('no'));
  opened.seen(78);
  opened.flush();
  await vi.waitFor(() => expect(opened.timeline?.unreadFrom).toBe(75));
});

it('does not turn the attention back to a circle that one has left meanwhile', async () => {
  const attention: (string | null)[] = [];
  memory.focus = async (_, circle) => void attention.push(circle);
  const first = opened.open('campus', 'rust');
  await opened.open('campus', 'general');
  await first;
  expect(attention).toEqual(['general']);
});

it('knows at once what was read on another device', async () => {
  await opened.open('campus', 'rust');
  expect(opened.timeline?.unreadFrom).toBe(75);
  applyUpdate({ update: 'circles', campus_id: 'campus', circles: [{ ...memory.circle, read_seq: 79 }] });
  expect(opened.timeline?.unreadFrom).toBe(80);
});

it('goes to the first unread message when the circle that is shown is chosen again', async () => {
  await opened.open('campus', 'rust');
  opened.show('campus', 'rust');
  expect(opened.timeline?.target).toBe('unread');
});
