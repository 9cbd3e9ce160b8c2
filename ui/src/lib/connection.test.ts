import { expect, test } from 'vitest';
import { connectionWords } from './connection';
import { clockTime } from './time';

test('it says how far it is in the right number', () => {
  const says = (missing: number) => connectionWords({ state: 'online', missing }, 0)?.text;
  expect(says(2)).toBe('Catching up: 2 changes to go.');
  expect(says(1)).toBe('Catching up: 1 change to go.');
  expect(says(0)).toBeUndefined();
});

test('it says since which day one is offline, if that is not today', () => {
  const [now, yesterday] = [new Date(2026, 10, 28, 9).getTime(), new Date(2026, 10, 27, 22).getTime()];
  const says = (since: number) =>
    connectionWords({ state: 'offline', problem: 'unreachable', since, retry_at: now }, 0, now)?.text;
  expect(says(now - 60_000)).toBe(`Offline since ${clockTime(now - 60_000)}.`);
  expect(says(yesterday)).toMatch(/^Offline since .*27/);
  expect(says(yesterday)).toContain(clockTime(yesterday));
});
