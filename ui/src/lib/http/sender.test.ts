import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeLocks, Tabs } from '../../test/tabs';
import { ReadMarkers } from './markers';
import { Outbox } from './outbox';
import { Sender } from './sender';
import { LeaseTurn, LockTurn } from './turn';

let tabs: Tabs;
let locks: FakeLocks;
let opened: Sender[];
let relay: ReturnType<typeof vi.fn<typeof fetch>>;

/** What the relay was asked, in order. */
const asked = () =>
  relay.mock.calls.map(([path, init]) => {
    const body = JSON.parse((init?.body as string | undefined) ?? '{}') as { text?: string; seq?: number };
    return [init?.method, (path as string).split('/').at(-1), body.text ?? body.seq].filter(Boolean).join(' ');
  });
const answer = (status: number, body: unknown = {}) =>
  Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } }));
const never = () => new Promise<Response>(() => undefined);
const down = () => Promise.reject(new TypeError('no network'));

function open(tab: string, { secure = true } = {}) {
  const store = tabs.open();
  const outbox = new Outbox(store, 'box');
  const markers = new ReadMarkers(store, 'box');
  const turn = secure ? new LockTurn(locks.of(tab), 'turn') : new LeaseTurn(store, 'turn');
  const marked = vi.fn();
  const sender = new Sender(outbox, markers, turn, { changed: () => sender.kick(), sent: () => undefined, marked });
  store.heard = (name) => {
    outbox.heard(name);
    sender.kick();
  };
  sender.start();
  opened.push(sender);
  const write = (text: string, circle = 'a'): void => {
    const work = { op: 'post', text, reply_to: null } as const;
    outbox.add({ circle, message: `m-${text}`, work, written_at: 1 });
    sender.kick();
  };
  const read = (circle: string, seq: number): void => {
    markers.set(circle, seq);
    sender.kick();
  };
  return { outbox, markers, sender, write, read, marked };
}

beforeEach(() => {
  vi.useFakeTimers();
  tabs = new Tabs();
  locks = new FakeLocks();
  opened = [];
  relay = vi.fn<typeof fetch>(() => answer(200));
  vi.stubGlobal('fetch', relay);
});
afterEach(() => {
  for (const sender of opened) sender.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe.each([
  ['with Web Locks', true],
  ['without Web Locks', false],
])('two tabs %s', (_, secure) => {
  it('send what either wrote once, in the order written', async () => {
    const [one, other] = [open('one', { secure }), open('other', { secure })];
    one.write('1');
    other.write('2');
    one.write('3');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked()).toEqual(['POST messages 1', 'POST messages 2', 'POST messages 3']);
    expect(new Outbox(tabs.open(), 'box').entries).toEqual([]);
  });

  it('lose nothing when the one that sends goes: the other sends again what was under way, and the rest', async () => {
    relay.mockImplementationOnce(never);
    const one = open('one', { secure });
    const other = open('other', { secure });
    other.write('1');
    other.write('2');
    expect(asked()).toEqual(['POST messages 1']);
    if (secure) locks.close('one');
    else one.sender.stop();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(asked()).toEqual(['POST messages 1', 'POST messages 1', 'POST messages 2']);
  });
});

describe('the sender', () => {
  it('sends the edit of a message whose first attempt had arrived', async () => {
    relay.mockImplementationOnce(down);
    const { outbox, write } = open('one');
    write('1');
    await vi.advanceTimersByTimeAsync(0);
    outbox.rewrite('m-1', 'better');
    relay.mockImplementationOnce(() => answer(409, { code: 'id_conflict' }));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked().slice(1)).toEqual(['POST messages better', 'PATCH m-1 better']);
    expect(outbox.entries).toEqual([]);
  });

  it('says nothing of a withdrawn message that the relay never had', async () => {
    relay.mockImplementationOnce(down);
    const { outbox, write } = open('one');
    write('1');
    await vi.advanceTimersByTimeAsync(0);
    outbox.withdraw('m-1');
    relay.mockImplementationOnce(() => answer(404, { code: 'not_found' }));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(asked().slice(1)).toEqual(['DELETE m-1']);
    expect(outbox.entries).toEqual([]);
  });
});

describe('read markers', () => {
  it('set while offline are kept and sent later, the newest of each circle', async () => {
    relay.mockImplementation(down);
    const offline = open('one');
    offline.read('a', 4);
    await vi.advanceTimersByTimeAsync(0);
    offline.read('a', 7);
    offline.read('a', 6);
    offline.read('b', 2);
    locks.close('one');
    offline.sender.stop();
    relay.mockReset().mockImplementation(() => answer(200));
    const { markers, marked } = open('other');
    await vi.advanceTimersByTimeAsync(0);
    expect(asked()).toEqual(['PUT read 7', 'PUT read 2']);
    expect(marked).toHaveBeenCalledWith({ circle: 'a', seq: 7 }, true);
    expect(markers.all()).toEqual([]);
  });

  it('are tried again by themselves', async () => {
    relay.mockImplementationOnce(down).mockImplementationOnce(() => answer(503, { code: 'store_unavailable' }));
    const { read, markers } = open('one');
    read('a', 4);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(asked()).toEqual(['PUT read 4', 'PUT read 4', 'PUT read 4']);
    expect(markers.get('a')).toBe(0);
  });

  it('set while an older one is under way follow it', async () => {
    const { read, markers } = open('one');
    read('a', 4);
    read('a', 5);
    await vi.advanceTimersByTimeAsync(0);
    expect(asked()).toEqual(['PUT read 4', 'PUT read 5']);
    expect(markers.get('a')).toBe(0);
  });

  it('that are refused are dropped, and nothing waits for them', async () => {
    relay.mockImplementationOnce(() => answer(403, { code: 'not_member' }));
    const { read, markers, marked, outbox } = open('one');
    read('a', 4);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked()).toEqual(['PUT read 4']);
    expect(marked).toHaveBeenCalledWith({ circle: 'a', seq: 4 }, false);
    expect(markers.get('a')).toBe(0);
    expect(outbox.entries).toEqual([]);
  });

  it('are not held up by a failed message', async () => {
    relay.mockImplementationOnce(() => answer(413, { code: 'too_large' }));
    const { write, read } = open('one');
    write('1');
    await vi.advanceTimersByTimeAsync(0);
    read('a', 4);
    await vi.advanceTimersByTimeAsync(0);
    expect(asked()).toEqual(['POST messages 1', 'PUT read 4']);
  });
});
