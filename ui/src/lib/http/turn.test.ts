import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeLocks, Tabs } from '../../test/tabs';
import { LeaseTurn, LockTurn, turnOf, type Turn } from './turn';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function ask(turn: Turn) {
  const taken = vi.fn();
  turn.ask(taken);
  return taken;
}

describe('the turn by Web Locks', () => {
  it('is one tab’s, and another’s when that is closed', async () => {
    const locks = new FakeLocks();
    const one = new LockTurn(locks.of('one'), 'turn');
    const other = new LockTurn(locks.of('other'), 'turn');
    ask(one);
    const taken = ask(other);
    expect([one.mine(), other.mine()]).toEqual([true, false]);
    locks.close('one');
    expect(taken).toHaveBeenCalledOnce();
    expect(other.mine()).toBe(true);
  });

  it('is passed on by a tab that leaves and stays open', async () => {
    const locks = new FakeLocks();
    const one = new LockTurn(locks.of('one'), 'turn');
    const other = new LockTurn(locks.of('other'), 'turn');
    ask(one);
    ask(other);
    one.leave();
    await vi.advanceTimersByTimeAsync(0);
    expect([one.mine(), other.mine()]).toEqual([false, true]);
  });
});

describe('the turn without Web Locks', () => {
  let tabs: Tabs;
  let one: Turn;
  let other: Turn;
  beforeEach(() => {
    vi.stubGlobal('navigator', {});
    tabs = new Tabs();
    one = turnOf('turn', tabs.open());
    other = turnOf('turn', tabs.open());
  });
  afterEach(() => {
    one.leave();
    other.leave();
  });

  it('is a lease that its tab renews', () => {
    ask(one);
    const taken = ask(other);
    expect(one).toBeInstanceOf(LeaseTurn);
    vi.advanceTimersByTime(120_000);
    expect([one.mine(), other.mine()]).toEqual([true, false]);
    expect(taken).not.toHaveBeenCalled();
  });

  it('is passed on when its tab is closed', () => {
    ask(one);
    window.dispatchEvent(new Event('pagehide'));
    const taken = ask(other);
    expect(taken).toHaveBeenCalledOnce();
  });

  it('is taken over from a tab that crashed, and is not that tab’s any more if it wakes', () => {
    tabs.values.set('turn', `gone ${Date.now() + 10_000}`);
    const taken = ask(other);
    expect(taken).not.toHaveBeenCalled();
    vi.advanceTimersByTime(12_000);
    expect(taken).toHaveBeenCalledOnce();
    tabs.values.set('turn', `awake ${Date.now() + 10_000}`);
    expect(other.mine()).toBe(false);
  });

  it('is not lost for ever to a lease from before the clock was set back', () => {
    tabs.values.set('turn', `gone ${Date.now() + 3_600_000}`);
    ask(other);
    ask(one);
    expect([one.mine(), other.mine()]).toEqual([false, true]);
  });

  it('is taken although the storage is full', () => {
    tabs.full = true;
    ask(one);
    expect(one.mine()).toBe(true);
  });
});
