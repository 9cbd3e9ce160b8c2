import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSource } from '../../test/events';
import { isOlder, Stream, type StreamHandlers } from './stream';

describe('the stream', () => {
  let opened: FakeSource[];
  let on: { [name in keyof StreamHandlers]: ReturnType<typeof vi.fn<StreamHandlers[name]>> };
  let stream: Stream;
  const source = (i: number): FakeSource => opened[i] ?? expect.fail(`no stream ${i}`);

  beforeEach(() => {
    vi.useFakeTimers();
    opened = [];
    on = {
      hello: vi.fn(),
      typing: vi.fn(),
      presence: vi.fn(),
      change: vi.fn(),
      gap: vi.fn(),
      lost: vi.fn(),
      refused: vi.fn(() => Promise.resolve(true)),
    };
    const open = (url: string): FakeSource => {
      opened.push(new FakeSource(url));
      return source(opened.length - 1);
    };
    stream = new Stream(open, on, () => 0.5);
    stream.start('e.5');
  });
  afterEach(() => {
    stream.stop();
    vi.useRealTimers();
  });

  it('opens the next stream after bye, and closes the last one only after its hello', () => {
    source(0).say('change', { pos: 6 }, 'e.6');
    source(0).say('bye', { reason: 'lifetime', reconnect_ms: 100, closes_ms: 5_000 });
    vi.advanceTimersByTime(100);
    expect(source(1).url).toContain('last_event_id=e.6');
    source(0).say('change', { pos: 7 }, 'e.7');
    expect(source(0).close).not.toHaveBeenCalled();
    source(1).say('hello', {}, 'e.6');
    expect(source(0).close).toHaveBeenCalled();
    expect(on.change).toHaveBeenCalledTimes(2);
    expect(on.hello).toHaveBeenCalledWith(true);
    expect(on.lost).not.toHaveBeenCalled();
  });

  it('goes on from the last cursor after a cut', () => {
    source(0).say('ping', { now: 1 }, 'e.9');
    source(0).readyState = 0;
    source(0).dispatchEvent(new Event('error'));
    expect(on.lost).toHaveBeenCalledWith('unreachable', expect.any(Number));
    vi.advanceTimersByTime(500);
    expect(source(1).url).toContain('e.9');
  });

  it('does not believe a stream that brings only what was sent long ago', () => {
    const clock = 1_700_000_000_000;
    source(0).say('hello', { now: clock + performance.now() }, 'e.5');
    for (const late of [0, 30_000]) {
      vi.advanceTimersByTime(44_000);
      source(0).say('ping', { now: clock + performance.now() - late }, 'e.6');
    }
    vi.advanceTimersByTime(10_000);
    expect(on.lost).not.toHaveBeenCalled();
    source(0).say('ping', { now: clock + performance.now() - 46_000 }, 'e.7');
    expect(on.lost).toHaveBeenCalledWith('silent', expect.any(Number));
    expect(source(0).close).toHaveBeenCalled();
    expect(source(1).url).toContain('last_event_id=e.7');
  });

  it('counts silence from when what came last was sent', () => {
    const clock = 1_700_000_000_000;
    source(0).say('hello', { now: clock + performance.now() }, 'e.5');
    vi.advanceTimersByTime(40_000);
    source(0).say('ping', { now: clock + performance.now() - 30_000 }, 'e.6');
    vi.advanceTimersByTime(14_000);
    expect(on.lost).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(on.lost).toHaveBeenCalledWith('silent', expect.any(Number));
  });

  it('hands on what is told in passing, and its cursor stays', () => {
    source(0).say('typing', { circle_id: 'a', person_id: 'ada', on: true });
    source(0).say('presence', { person_id: 'ada', online: true });
    expect(on.typing).toHaveBeenCalledWith({ circle_id: 'a', person_id: 'ada', on: true });
    expect(on.presence).toHaveBeenCalledWith({ person_id: 'ada', online: true });
    stream.reconnect();
    expect(source(1).url).toContain('e.5');
  });

  it('asks why when it was refused, and stops if there is no use', async () => {
    on.refused.mockResolvedValue(false);
    source(0).readyState = 2;
    source(0).dispatchEvent(new Event('error'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(on.refused).toHaveBeenCalledOnce();
    expect(opened).toHaveLength(1);
  });

  it('takes silence for a dead connection', () => {
    vi.advanceTimersByTime(45_000);
    expect(on.lost).toHaveBeenCalledWith('silent', expect.any(Number));
    expect(opened).toHaveLength(2);
  });

  it('never moves its cursor back within a history', () => {
    expect(isOlder('e.9', 'e.10')).toBe(true);
    expect(isOlder('e.10', 'e.9')).toBe(false);
    expect(isOlder('f.1', 'e.9')).toBe(false);
  });
});
