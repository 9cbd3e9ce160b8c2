import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SEEN_MS, Seen } from './seen';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('each message is seen after its own while on the screen, however many follow', () => {
  const told: number[] = [];
  const seen = new Seen((last) => told.push(last));
  for (let seq = 1; seq <= 100; seq += 1) {
    seen.show(seq);
    vi.advanceTimersByTime(50);
    const expected = Math.max(0, seq - SEEN_MS / 50 + 1);
    expect(told.at(-1) ?? 0).toBeGreaterThanOrEqual(expected - 1);
    expect(told.at(-1) ?? 0).toBeLessThanOrEqual(expected);
  }
  vi.advanceTimersByTime(SEEN_MS);
  expect(told.at(-1)).toBe(100);
});

test('what flew by while nobody looked was not seen', () => {
  const told: number[] = [];
  const seen = new Seen((last) => told.push(last));
  seen.show(7);
  vi.advanceTimersByTime(SEEN_MS - 1);
  seen.stop();
  vi.advanceTimersByTime(10 * SEEN_MS);
  expect(told).toEqual([]);
  seen.show(7);
  vi.advanceTimersByTime(SEEN_MS);
  expect(told).toEqual([7]);
});
