import { expect, test } from 'vitest';
import { Passing } from './passing';

test('who scrolls has passed over what lies between', () => {
  const passing = new Passing();
  expect(passing.passes(10, 11)).toBe(true);
  expect(passing.passes(90, 11)).toBe(true);
});

test('who is taken to a place has not passed over the unread before it, until back where it begins', () => {
  const passing = new Passing();
  passing.taken(true);
  expect(passing.passes(10, 11)).toBe(false); // what one comes from
  passing.arrived();
  expect(passing.passes(90, 11)).toBe(false);
  expect(passing.passes(40, 11)).toBe(false);
  expect(passing.passes(0, 11)).toBe(false); // nothing but what was not sent yet
  expect(passing.passes(11, 11)).toBe(true);
  expect(passing.passes(90, 31)).toBe(true);
});

test('who is taken to a place before the unread, or asks for the latest, skips nothing', () => {
  const passing = new Passing();
  passing.taken(true);
  passing.taken(false);
  expect(passing.passes(90, 11)).toBe(true);
});
