import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeLocks, Tabs } from '../../test/tabs';
import { ReadMarkers } from './markers';
import { Outbox } from './outbox';
import { DRAFT_REST_MS, draftsOf, mutesOf, NO_DRAFT } from './own';
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
  const drafts = draftsOf(store, 'box');
  const mutes = mutesOf(store, 'box');
  const turn = secure ? new LockTurn(locks.of(tab), 'turn') : new LeaseTurn(store, 'turn');
  const marked = vi.fn();
  const told = vi.fn();
  const sender = new Sender(outbox, markers, [mutes, drafts], turn, {
    changed: () => sender.kick(),
    sent: () => undefined,
    marked,
    told,
    settled: () => undefined,
  });
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
  const drafted = (text: string): void => {
    drafts.set('a', { ...NO_DRAFT, text }, NO_DRAFT);
    sender.kick();
  };
  const mute = (on: boolean): void => {
    mutes.set('a', on, !on);
    sender.kick();
  };
  return { outbox, markers, drafts, sender, write, read, drafted, mute, marked, told };
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

  it('sends an answer to what the relay lost as a message of its own', async () => {
    relay.mockImplementation(() => answer(400, { code: 'reply_unknown', title: 'gone' }));
    const { outbox, sender } = open('one');
    const work = { op: 'post', text: 'yes', reply_to: 'm-0' } as const;
    outbox.add({ circle: 'c', message: 'm-1', work, written_at: 1 });
    sender.kick();
    await vi.advanceTimersByTimeAsync(1_000);
    const bodies = relay.mock.calls.map(([, init]) => JSON.parse(String(init?.body)) as { reply_to: string | null });
    expect(bodies.map((body) => body.reply_to)).toEqual(['m-0', null]);
    expect(outbox.entries.map((entry) => entry.state)).toEqual(['failed']);
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

describe('what the person has on all devices', () => {
  const rest = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  it('is told of a draft when it has rested, and of an emptied one at once', async () => {
    const { drafted, told } = open('one');
    await rest(0);
    drafted('h');
    await rest(DRAFT_REST_MS - 1);
    drafted('hi');
    await rest(DRAFT_REST_MS - 1);
    expect(asked()).toEqual([]);
    await rest(1);
    expect(asked()).toEqual(['PUT draft hi']);
    expect(told).toHaveBeenCalledOnce();
    relay.mockImplementation(never);
    drafted('hi there');
    await rest(DRAFT_REST_MS);
    drafted('');
    relay.mockImplementation(() => answer(200));
    opened.forEach((sender) => sender.stop());
    open('two').sender.kick();
    await rest(0);
    expect(asked()).toEqual(['PUT draft hi', 'PUT draft hi there', 'PUT draft']);
  });

  it('is told nothing of a draft that was sent before it rested', async () => {
    const { drafted, drafts } = open('one');
    await rest(0);
    drafted('h');
    drafted('');
    await rest(DRAFT_REST_MS);
    expect(asked()).toEqual([]);
    expect(drafts.get('a')).toBeNull();
  });

  it('goes out later, and says how long ago it was', async () => {
    relay.mockImplementation(down);
    const { mute } = open('one');
    await rest(0);
    mute(true);
    await rest(0);
    relay.mockImplementation(() => answer(200));
    await rest(60_000);
    expect(asked().at(-1)).toBe('PUT mute');
    const body = JSON.parse(relay.mock.lastCall?.[1]?.body as string) as { on: boolean; age_ms: number };
    expect(body).toEqual({ on: true, age_ms: expect.any(Number) });
    expect(body.age_ms).toBeGreaterThan(0);
    const count = asked().length;
    await rest(60_000);
    expect(asked()).toHaveLength(count);
  });

  it('stays as it is here if the relay refuses it, and is gone if one is not in the circle any more', async () => {
    const { drafted, drafts } = open('one');
    await rest(0);
    relay.mockImplementation(() => answer(400, { code: 'invalid_body', title: 'too long' }));
    drafted('long');
    await rest(10 * DRAFT_REST_MS);
    expect(asked()).toEqual(['PUT draft long']);
    expect(drafts.get('a')?.state.text).toBe('long');
    relay.mockImplementation(() => answer(403, { code: 'not_member', title: 'out' }));
    drafted('shorter');
    await rest(DRAFT_REST_MS);
    expect(drafts.get('a')).toBeNull();
  });
});
