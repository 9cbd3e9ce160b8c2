import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Typing } from './typing';

describe('typing', () => {
  const changed = vi.fn();
  const say = vi.fn();
  let typing: Typing;
  const hear = (person_id: string, on = true): void => typing.heard({ circle_id: 'a', person_id, on });

  beforeEach(() => {
    vi.useFakeTimers();
    changed.mockClear();
    say.mockClear();
    typing = new Typing({ changed, say });
  });
  afterEach(() => vi.useRealTimers());

  it('expires after six seconds, and lasts while it is said again', () => {
    hear('ada');
    hear('bob');
    vi.advanceTimersByTime(3_000);
    hear('ada');
    expect(changed).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(3_000);
    expect(typing.people('a')).toEqual(['ada']);
    vi.advanceTimersByTime(3_000);
    expect(typing.people('a')).toEqual([]);
    expect(changed).toHaveBeenCalledTimes(4);
  });

  it('ends with the word of it, with a message, and offline', () => {
    hear('ada');
    hear('ada', false);
    expect(typing.people('a')).toEqual([]);
    hear('ada');
    typing.stopped('a', 'ada');
    expect(typing.people('a')).toEqual([]);
    hear('ada');
    typing.clear();
    expect(typing.people('a')).toEqual([]);
    changed.mockClear();
    vi.advanceTimersByTime(60_000);
    expect(changed).not.toHaveBeenCalled();
  });

  it('is said at most every three seconds, and its end once', () => {
    typing.types('a', false);
    for (let i = 0; i < 100; i++) {
      typing.types('a', true);
      vi.advanceTimersByTime(100);
    }
    expect(say).toHaveBeenCalledTimes(4);
    typing.types('a', false);
    typing.types('a', false);
    expect(say.mock.calls.slice(4)).toEqual([['a', false]]);
    typing.types('a', true);
    vi.advanceTimersByTime(6_000);
    typing.types('a', false);
    expect(say).toHaveBeenCalledTimes(6);
  });
});
