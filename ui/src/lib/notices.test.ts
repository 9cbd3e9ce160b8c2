import { expect, test } from 'vitest';
import { absenceWords, renewalWords } from './notices';

const HOUR = 3_600_000;

test('an absence is one line, in the right numbers', () => {
  const it = { since: 0, until: 2 * HOUR + 14 * 60_000, messages: 37, circles: 4, mentions: 2, took_ms: 812 };
  expect(absenceWords(it)).toBe('Away 2 h 14 min: 37 messages in 4 circles, 2 mention you. Up to date in 0.8 s.');
  expect(absenceWords({ ...it, until: 50 * HOUR, messages: 1, circles: 1, mentions: 1, took_ms: 12_400 })).toBe(
    'Away 2 d 2 h: 1 message in 1 circle, 1 mentions you. Up to date in 12 s.',
  );
  expect(absenceWords({ ...it, until: 6 * 60_000, messages: 0, circles: 0, mentions: 0 })).toBe(
    'Away 6 min: nothing new. Up to date in 0.8 s.',
  );
});

test('a relay that was set back is told in plain words, and what became of what it lost', () => {
  const it = { at: Date.UTC(2026, 10, 24, 12), comparing: true, offered: 0 };
  expect(renewalWords(it, 0)).toContain('Comparing what this device has');
  expect(renewalWords({ ...it, comparing: false }, 0)).toContain('Nothing is missing.');
  const said = renewalWords({ ...it, comparing: false, offered: 1 }, 5);
  expect(said).toContain('1 thing that you wrote goes to it again.');
  expect(said).toContain('5 messages that the relay lost are kept on this device.');
});
