import { expect, it } from 'vitest';
import { remember } from './remember';

it('asks once for what it knows, and forgets the oldest', () => {
  const asked: string[] = [];
  const answer = remember(2, (of) => {
    asked.push(of);
    return of.toUpperCase();
  });
  expect(['a', 'b', 'a', 'c', 'b', 'a'].map(answer)).toEqual(['A', 'B', 'A', 'C', 'B', 'A']);
  expect(asked).toEqual(['a', 'b', 'c', 'a']);
});
