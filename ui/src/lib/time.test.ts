import { expect, test } from 'vitest';
import { writtenTime } from './time';

test('what was written on another day than it came says on which', () => {
  const at = (year: number, month: number, day: number): number => new Date(year, month - 1, day, 14, 2).getTime();
  const came = at(2026, 11, 24);
  expect(writtenTime(at(2026, 11, 24), came)).toBe('14:02');
  const yesterday = writtenTime(at(2026, 11, 23), came);
  expect(yesterday).toMatch(/23.*, 14:02$/);
  expect(yesterday).not.toContain('26');
  expect(writtenTime(at(2025, 12, 31), came)).toMatch(/31.*25, 14:02$/);
});
