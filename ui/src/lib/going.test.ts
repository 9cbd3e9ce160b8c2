import { expect, it, vi } from 'vitest';
import { Going } from './going.svelte';

it('knows the last way that was taken, and hurries for a moment', () => {
  vi.useFakeTimers();
  const going = new Going();
  const first = going.start();
  expect(first()).toBe(true);
  vi.advanceTimersByTime(150);
  const last = going.start();
  expect([first(), last()]).toEqual([false, true]);
  vi.advanceTimersByTime(150);
  expect(going.hurried).toBe(true);
  vi.advanceTimersByTime(50);
  expect(going.hurried).toBe(false);
  vi.useRealTimers();
});
