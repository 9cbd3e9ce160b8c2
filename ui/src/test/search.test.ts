import { fireEvent, render, screen, within } from '@testing-library/svelte';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import SearchDialog from '../components/SearchDialog.svelte';
import type { SearchView } from '../generated/SearchView';
import { serve } from '../lib/api';
import { coverageWords } from '../lib/found';
import { firstSince } from '../lib/http/days';
import { dayInput, startOfDay } from '../lib/time';
import { circles } from '../state/circles.svelte';
import { opened } from '../state/opened.svelte';
import { Search, search } from '../state/search.svelte';
import { view } from '../state/view.svelte';
import { Memory } from './memory';

const frame = (): Promise<void> => new Promise((done) => requestAnimationFrame(() => done()));

/** The dialog over a campus, opened as Ctrl+K does. */
async function dialog(memory: Memory, query: string): Promise<void> {
  if (!memory.campus) throw new Error('the campus is there');
  await circles.load('campus');
  search.begin(query);
  render(SearchDialog, { campus: memory.campus, onclose: () => (view.dialog = null) });
}

describe('the search', () => {
  let memory: Memory;
  beforeAll(() => {
    // jsdom has no modal dialogs and no layout.
    HTMLDialogElement.prototype.showModal ??= function (this: HTMLDialogElement) {
      this.open = true;
    };
    Element.prototype.scrollIntoView ??= () => undefined;
  });
  beforeEach(() => {
    memory = new Memory();
    serve(memory);
    circles.campusId = 'campus';
  });
  afterEach(() => {
    search.end();
    view.dialog = null;
  });

  it('asks once for what was typed within a frame', async () => {
    const typing = new Search();
    for (const query of ['b', 'bo', 'bor']) {
      typing.query = query;
      typing.typed();
    }
    await vi.waitFor(() => expect(typing.found).not.toBeNull());
    expect(memory.asked).toEqual(['bor']);
  });

  it('drops the answer to an older question, and then asks the newest only', async () => {
    const typing = new Search();
    const answers: ((found: SearchView) => void)[] = [];
    const asked: string[] = [];
    const found = await memory.search('campus', 'the', null, 3);
    memory.search = (_, query) => {
      asked.push(query);
      return new Promise((answer) => answers.push(answer));
    };
    for (const query of ['t', 'th', 'the']) {
      typing.query = query;
      typing.typed();
      await frame();
    }
    expect(asked).toEqual(['t']);
    answers[0]?.({ ...found, messages: [] });
    await vi.waitFor(() => expect(asked).toEqual(['t', 'the']));
    expect(typing.found).toBeNull();
    answers[1]?.(found);
    await vi.waitFor(() => expect(typing.messages).toHaveLength(3));
  });

  it('adds older messages behind those that are there', async () => {
    const typing = new Search();
    memory.held = Array.from({ length: 40 }, (_, n) => memory.message(n + 1, 'Ada', `word ${n + 1}`, n));
    typing.query = 'word';
    typing.typed();
    await vi.waitFor(() => expect(typing.messages).toHaveLength(30));
    await typing.more();
    expect(typing.messages.map((it) => it.seq)).toEqual(Array.from({ length: 40 }, (_, n) => 40 - n));
    expect(typing.found?.more).toBeNull();
  });

  it('says what it did not cover', () => {
    const online = { state: 'online', missing: 0 } as const;
    const ubuntu = { id: 'u', name: 'ubuntu', searched: 12_300, total: 60_000 };
    const rust = { id: 'r', name: 'rust', searched: 1, total: 2 };
    expect(coverageWords({ searched: 5, total: 5, partly: [] }, online)).toBe('');
    expect(coverageWords({ searched: 12_300, total: 60_000, partly: [ubuntu] }, online)).toMatch(
      /^Searched 12.300 of 60.000 messages of ubuntu\.$/,
    );
    expect(coverageWords({ searched: 12_301, total: 60_002, partly: [ubuntu, rust] }, { state: 'connecting' })).toMatch(
      /of 60.002 messages: most are missing of ubuntu \(47.700\)\. Not connected/,
    );
  });

  it('goes through what was found with the arrows, and opens a message in its place', async () => {
    await dialog(memory, '');
    const field = await screen.findByRole('combobox', { name: /Search/, hidden: true });
    await fireEvent.input(field, { target: { value: 'the' } });
    const messages = await screen.findByRole('group', { name: 'Messages', hidden: true });
    const options = () => screen.getAllByRole('option', { hidden: true });
    expect(within(messages).getAllByText(/^the$/i)[0]?.tagName).toBe('MARK');
    expect(options()[0]?.getAttribute('aria-selected')).toBe('true');
    await fireEvent.keyDown(field, { key: 'ArrowDown' });
    expect(options()[1]?.getAttribute('aria-selected')).toBe('true');
    expect(field.getAttribute('aria-activedescendant')).toBe(options()[1]?.id);
    const seq = search.messages[1]?.seq;
    const goTo = vi.spyOn(opened, 'goTo');
    await fireEvent.keyDown(field, { key: 'Enter' });
    expect(goTo).toHaveBeenCalledWith('campus', memory.circle.id, seq);
    expect(view.dialog).toBeNull();
  });

  it('says that nothing was found, and in how much', async () => {
    await dialog(memory, 'xyzzy');
    await screen.findByText(/Nothing found in 80 messages/);
  });

  it('opens a circle around a message, and not at what is unread', async () => {
    const asked = vi.spyOn(memory, 'timeline');
    await opened.open(null, null);
    opened.goTo('campus', 'rust', 12);
    await opened.open('campus', 'rust');
    expect(asked.mock.calls[0]?.[2]).toEqual({ at: 'around', seq: 12 });
    expect(opened.timeline?.target).toBe(12);
  });

  it('is not offered where little is held: the browser goes to circles only', async () => {
    Object.assign(memory, { can: { host: false, severalCampuses: false, search: false } });
    await dialog(memory, '');
    const field = await screen.findByRole('combobox', { name: 'Name of the circle', hidden: true });
    await fireEvent.input(field, { target: { value: 'film' } });
    await screen.findByText(/No circle of that name/);
    expect(memory.asked).toEqual([]);
  });
});

describe('a day', () => {
  it('is found by halving what is left', async () => {
    const times = [10, 20, 20, 30, 40];
    let looks = 0;
    const find = (at: number) =>
      firstSince(times.length, at, (seq) => {
        looks++;
        return Promise.resolve(times[seq - 1] ?? 0);
      });
    expect(await find(5)).toBe(1);
    expect(await find(20)).toBe(2);
    expect(await find(21)).toBe(4);
    expect(await find(41)).toBeNull();
    expect(looks).toBeLessThanOrEqual(12);
    expect(await firstSince(0, 1, () => Promise.reject(new Error('there is none')))).toBeNull();
  });

  it('is read as a date field writes it', () => {
    expect(startOfDay('2026-11-24')).toBe(new Date(2026, 10, 24).getTime());
    expect(startOfDay('2026-2-30')).toBeNull();
    expect(startOfDay('tomorrow')).toBeNull();
    expect(dayInput(new Date(2026, 2, 1, 9).getTime(), 1)).toBe('2026-02-28');
  });
});
