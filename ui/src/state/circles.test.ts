import { beforeEach, expect, it } from 'vitest';
import { serve } from '../lib/api';
import { Memory } from '../test/memory';
import { circles } from './circles.svelte';

let memory: Memory;

beforeEach(async () => {
  memory = new Memory();
  serve(memory);
  await circles.load('elsewhere');
  await circles.load('campus');
  circles.select('rust');
});

it('opens no other circle in the place of one that one was removed from, and says which', () => {
  circles.apply('campus', [{ ...memory.circle, joined: false, role: null }]);
  expect(circles.currentId).toBeNull();
  expect(circles.gone).toBe('rust');
  circles.select('general');
  expect(circles.gone).toBeNull();
});

it('does the same if a list that is taken anew has it no more, and stays so', async () => {
  const rest = (await memory.circles()).filter((circle) => circle.id !== 'rust');
  memory.circles = async () => rest;
  await circles.load('campus');
  await circles.load('campus');
  expect(circles.currentId).toBeNull();
  expect(circles.gone).toBe('rust');
});

it('stays in a circle that was just made until the list has it', () => {
  circles.select('new');
  circles.apply('campus', [{ ...memory.circle, unread: 0 }]);
  expect(circles.currentId).toBe('new');
});

it('goes from no circle to the first or the last', () => {
  const ids = circles.joined.map((circle) => circle.id);
  const from = (by: 1 | -1): string | null => {
    circles.currentId = null;
    circles.step(by);
    return circles.currentId;
  };
  expect(from(1)).toBe(ids[0]);
  expect(from(-1)).toBe(ids.at(-1));
});
