import { expect, it } from 'vitest';
import { initials } from './initials';

it('takes the first letters of the first two words', () => {
  expect(initials('Mira Okafor')).toBe('MO');
  expect(initials('mib_y9uyk1')).toBe('MY');
  expect(initials('"Élodie" van Dyk')).toBe('ÉV');
  expect(initials('…')).toBe('·');
});
