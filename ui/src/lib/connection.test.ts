import { expect, test } from 'vitest';
import { connectionWords } from './connection';

test('it says how far it is in the right number', () => {
  const says = (missing: number) => connectionWords({ state: 'online', missing }, 0)?.text;
  expect(says(2)).toBe('Catching up: 2 changes to go.');
  expect(says(1)).toBe('Catching up: 1 change to go.');
  expect(says(0)).toBeUndefined();
});
