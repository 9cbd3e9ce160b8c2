import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeLocks, Tabs } from '../../test/tabs';
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
    const body = JSON.parse((init?.body as string | undefined) ?? '{}') as { text?: string };
    return [init?.method, (path as string).split('/').at(-1), body.text].filter(Boolean).join(' ');
  });
const answer = (status: number, body: unknown = {}) =>
  Promise.resolve(new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } }));
const never = () => new Promise<Response>(() => undefined);
const down = () => Promise.reject(new TypeError('no network'));

function open(tab: string, { secure = true } = {}) {
  const store = tabs.open();
  const outbox = new Outbox(store, 'box');
  const turn = secure ? new LockTurn(locks.of(tab), 'turn') : new LeaseTurn(store, 'turn');
  const sender = new Sender(outbox, turn, { changed: () => sender.kick(), sent: () => undefined });
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
  return { outbox, sender, write };
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
