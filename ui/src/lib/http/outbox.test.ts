import { beforeEach, describe, expect, it } from 'vitest';
import { Outbox } from './outbox';

const post = (key: string, circle: string) => ({
  key,
  circle,
  message: `m-${key}`,
  work: { op: 'post' as const, text: key, reply_to: null },
  written_at: 1,
});
const due = (outbox: Outbox) => outbox.due().map((entry) => entry.key);

describe('the outbox', () => {
  let outbox: Outbox;
  beforeEach(() => {
    localStorage.clear();
    outbox = new Outbox(localStorage, 'box');
    for (const [key, circle] of [
      ['1', 'a'],
      ['2', 'a'],
      ['3', 'b'],
    ] as const)
      outbox.add(post(key, circle));
  });

  it('sends each circle in order, one at a time', () => {
    expect(due(outbox)).toEqual(['1', '3']);
    outbox.mark('1', 'sending');
    expect(due(outbox)).toEqual(['3']);
    outbox.done('1');
    expect(due(outbox)).toEqual(['2', '3']);
  });

  it('is blocked by a failed message only in its circle, until that is retried or discarded', () => {
    outbox.mark('1', 'failed', 'too long');
    expect(due(outbox)).toEqual(['3']);
    outbox.retry('m-1');
    expect(due(outbox)).toEqual(['1', '3']);
    outbox.discard('m-1');
    expect(due(outbox)).toEqual(['2', '3']);
  });

  it('survives a reload, and sends again what was under way', () => {
    outbox.mark('1', 'sending');
    expect(due(new Outbox(localStorage, 'box'))).toEqual(['1', '3']);
  });

  it('rewrites an unsent message where it stands, but not one under way', () => {
    expect(outbox.rewrite('m-2', 'better')).toBe(true);
    expect(outbox.entries[1]?.work).toEqual({ op: 'post', text: 'better', reply_to: null });
    outbox.mark('2', 'sending');
    expect(outbox.rewrite('m-2', 'no')).toBe(false);
  });

  it('forgets a post whose message the stream brought', () => {
    outbox.landed('m-1');
    expect(due(outbox)).toEqual(['2', '3']);
  });
});
