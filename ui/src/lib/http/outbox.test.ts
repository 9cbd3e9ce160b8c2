import { beforeEach, describe, expect, it } from 'vitest';
import { Tabs } from '../../test/tabs';
import { countUnsent, Outbox, type Work } from './outbox';

const post = (text: string, circle = 'a', written_at = 1) => ({
  circle,
  message: `m-${text}`,
  work: { op: 'post' as const, text, reply_to: null },
  written_at,
});

let tabs: Tabs;
function open(): Outbox {
  const store = tabs.open();
  const outbox = new Outbox(store, 'box');
  store.heard = (name) => void outbox.heard(name);
  return outbox;
}
const texts = (outbox: Outbox) => outbox.entries.map(({ work }) => (work.op === 'post' ? work.text : work.op));
const due = (outbox: Outbox) => outbox.due().map(({ message }) => message);
const keyOf = (outbox: Outbox, text: string) => outbox.post(`m-${text}`)?.key ?? expect.fail(`no ${text}`);
function begin(outbox: Outbox, text: string) {
  return outbox.begin(keyOf(outbox, text)) ?? expect.fail(`${text} cannot begin`);
}

beforeEach(() => {
  tabs = new Tabs();
});

describe('the outbox', () => {
  let outbox: Outbox;
  beforeEach(() => {
    outbox = open();
    for (const [text, circle] of [
      ['1', 'a'],
      ['2', 'a'],
      ['3', 'b'],
    ] as const)
      outbox.add(post(text, circle));
  });

  it('sends each circle in order, one at a time', () => {
    expect(due(outbox)).toEqual(['m-1', 'm-3']);
    const begun = begin(outbox, '1');
    expect(due(outbox)).toEqual(['m-3']);
    outbox.sent(begun);
    expect(due(outbox)).toEqual(['m-2', 'm-3']);
  });

  it('is blocked by a failed message only in its circle, until that is retried or discarded', () => {
    outbox.failed(keyOf(outbox, '1'), 'too long');
    expect(due(outbox)).toEqual(['m-3']);
    outbox.retry('m-1');
    expect(due(outbox)).toEqual(['m-1', 'm-3']);
    outbox.failed(keyOf(outbox, '1'), 'too long');
    outbox.withdraw('m-1');
    expect(due(outbox)).toEqual(['m-2', 'm-3']);
  });

  it('holds up for a refused edit or deletion that message alone, and for a refused reaction nothing', () => {
    const add = (message: string, work: Work) => outbox.add({ circle: 'b', message, work, written_at: 1 });
    outbox.sent(begin(outbox, '3'));
    const dueInB = () => outbox.due().flatMap((it) => (it.circle === 'b' ? it.work : []));
    const react: Work = { op: 'react', emoji: '🦀', on: true };
    outbox.failed(add('x', react).key, 'deleted');
    const edit = add('x', { op: 'edit', text: 'refused' });
    expect(dueInB()).toEqual([edit.work]);
    outbox.failed(edit.key, 'deleted');
    add('x', react);
    expect(dueInB()).toEqual([]);
    const other = add('y', { op: 'delete' });
    expect(dueInB()).toEqual([other.work]);
    outbox.sent(outbox.begin(other.key) ?? expect.fail('it waits'));

    const better = add('x', { op: 'edit', text: 'better' });
    expect(dueInB()).toEqual([react]);
    outbox.discard('x');
    expect(outbox.of('x').map(({ work }) => work)).toEqual([react, better.work]);
  });

  it('survives a reload, and sends again what was under way', () => {
    begin(outbox, '1');
    const reloaded = open();
    expect(due(reloaded)).toEqual(['m-3']);
    reloaded.recover(new Set());
    expect(due(reloaded)).toEqual(['m-1', 'm-3']);
  });

  it('rewrites an unsent message where it stands, but not one under way', () => {
    expect(outbox.rewrite('m-2', 'better')).toBe(true);
    expect(texts(outbox)).toEqual(['1', 'better', '3']);
    outbox.begin(keyOf(outbox, '2'));
    expect(outbox.rewrite('m-2', 'no')).toBe(false);
  });

  it('forgets a post whose message the stream brought', () => {
    outbox.landed({ id: 'm-1', text: '1' });
    expect(due(outbox)).toEqual(['m-2', 'm-3']);
  });

  it('sends as an edit what was changed after an attempt that arrived without an answer', () => {
    outbox.later(begin(outbox, '1').key);
    outbox.rewrite('m-1', 'better');
    outbox.landed({ id: 'm-1', text: '1' });
    expect(outbox.entries[0]?.work).toEqual({ op: 'edit', text: 'better' });
  });

  it('deletes a message that was given up after an attempt that may have arrived', () => {
    outbox.later(begin(outbox, '1').key);
    expect(outbox.withdraw('m-1')).toBe(true);
    outbox.landed({ id: 'm-1', text: '1' });
    expect(texts(outbox)).toEqual(['withdraw', '2', '3']);
  });
});

describe('the outbox of two tabs', () => {
  let one: Outbox;
  let other: Outbox;
  beforeEach(() => {
    one = open();
    other = open();
  });

  it('keeps what each of them wrote, in the order written, although the clock goes back', () => {
    one.add(post('1', 'a', 5_000));
    other.add(post('2', 'a', 4_000));
    one.add(post('3', 'a', 4_000));
    expect(texts(one)).toEqual(['1', '2', '3']);
    expect(texts(other)).toEqual(['1', '2', '3']);
    expect(texts(open())).toEqual(['1', '2', '3']);
  });

  it('keeps them also if neither has heard of the other', () => {
    const deaf = new Outbox(tabs.open(), 'box');
    one.add(post('1'));
    deaf.add(post('2'));
    one.add(post('3'));
    expect(texts(open())).toEqual(['1', '2', '3']);
  });

  it('shows in one tab how sending goes in the other', () => {
    one.add(post('1'));
    const begun = begin(other, '1');
    expect(one.entries[0]?.state).toBe('sending');
    other.failed(begun.key, 'too long');
    expect(one.entries[0]).toMatchObject({ state: 'failed', reason: 'too long' });
    one.retry('m-1');
    expect(other.entries[0]?.state).toBe('queued');
  });

  it('shows what the other tab sent until the stream brings it', () => {
    one.add(post('1'));
    other.sent(begin(other, '1'));
    expect(tabs.values.size).toBe(0);
    expect(texts(one)).toEqual(['1']);
    one.landed({ id: 'm-1', text: '1' });
    expect(texts(one)).toEqual([]);
  });

  it('sends as an edit what one tab rewrote while the other began to send it', () => {
    const deaf = new Outbox(tabs.open(), 'box');
    one.add(post('1'));
    deaf.reload();
    const begun = begin(deaf, '1');
    tabs.values.delete(`circles.outbox.box.${begun.key}.state`);
    expect(one.heard(`circles.outbox.box.${begun.key}.state`)).not.toEqual([]);
    expect(one.rewrite('m-1', 'better')).toBe(true);
    deaf.sent(begun);
    expect(deaf.entries.map(({ work }) => work)).toEqual([{ op: 'edit', text: 'better' }]);
  });

  it('never brings back what the other tab gave up', () => {
    one.add(post('1'));
    const begun = begin(new Outbox(tabs.open(), 'box'), '1');
    other.failed(begun.key, 'too long');
    one.withdraw('m-1');
    other.later(begun.key);
    other.failed(begun.key, 'too long');
    expect(tabs.values.size).toBe(0);
  });
});

describe('an outbox in a full storage', () => {
  it('rejects what it cannot keep and shows nothing of it', () => {
    const outbox = open();
    tabs.full = true;
    expect(() => outbox.add(post('1'))).toThrow(expect.objectContaining({ code: 'browser_full' }));
    expect(outbox.entries).toEqual([]);
  });

  it('keeps the text that a message had if the longer one finds no room', () => {
    const outbox = open();
    outbox.add(post('1'));
    tabs.full = true;
    expect(() => outbox.rewrite('m-1', 'much longer')).toThrow(expect.objectContaining({ code: 'browser_full' }));
    expect(texts(outbox)).toEqual(['1']);
  });

  it('still empties', () => {
    const outbox = open();
    outbox.add(post('1'));
    tabs.full = true;
    const begun = begin(outbox, '1');
    expect(due(outbox)).toEqual([]);
    outbox.sent(begun);
    expect(tabs.values.size).toBe(0);
  });
});

describe('an outbox in the old form', () => {
  const old = (text: string, state: string, reason: string | null = null) => ({
    ...post(text),
    key: `0190-uuid-${text}`,
    state,
    reason,
  });
  const place = 'circles.outbox.box';
  beforeEach(() => {
    tabs.values.set(place, JSON.stringify([old('1', 'failed', 'too long'), old('2', 'sending'), old('3', 'queued')]));
  });

  it('is taken over once, in order, with what failed', () => {
    const outbox = open();
    expect(texts(outbox)).toEqual(['1', '2', '3']);
    expect(outbox.entries.map(({ state }) => state)).toEqual(['failed', 'queued', 'queued']);
    expect(tabs.values.has(place)).toBe(false);
    expect(texts(open())).toEqual(['1', '2', '3']);
  });

  it('is taken over once also if the page went in between', () => {
    const before = tabs.values.get(place) ?? '';
    open();
    tabs.values.set(place, before);
    expect(texts(open())).toEqual(['1', '2', '3']);
  });

  it('loses nothing if there is no room for both forms', () => {
    tabs.full = true;
    const outbox = open();
    expect(JSON.parse(tabs.values.get(place) ?? '[]')).toHaveLength(3);
    tabs.full = false;
    outbox.discard('anything');
    outbox.add(post('4', 'b'));
    outbox.sent(begin(outbox, '4'));
    expect(texts(outbox)).toEqual(['1', '2', '3']);
  });
});

it('counts what waits before it is known for which campus', () => {
  const outbox = open();
  begin(outbox, (outbox.add(post('1')), '1'));
  outbox.add(post('2'));
  outbox.add({ circle: 'a', message: 'm', work: { op: 'delete' }, written_at: 1 });
  expect(countUnsent(tabs.open())).toBe(2);
});
