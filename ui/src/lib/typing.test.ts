import { describe, expect, it } from 'vitest';
import { typingText } from './typing';

describe('the typing line', () => {
  it.each([
    [[], ''],
    [['Ada'], 'Ada is typing…'],
    [['Ada', 'Bob'], 'Ada and Bob are typing…'],
    [['Ada', 'Bob', 'Cleo'], 'Several people are typing…'],
  ])('of %j says %j', (names, text) => expect(typingText(names)).toBe(text));
});
