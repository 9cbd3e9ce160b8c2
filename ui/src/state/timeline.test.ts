import { expect, it } from 'vitest';
import { serve } from '../lib/api';
import { Memory } from '../test/memory';
import { Timeline } from './timeline.svelte';

const memory = new Memory();
const at = (seq: number) => memory.message(seq, 'ada', 'text', seq);

function atTheEndOf(head: number): Timeline {
  const timeline = new Timeline('campus', 'circle');
  timeline.messages = Array.from({ length: head }, (_, n) => at(n + 1));
  timeline.to = timeline.head = head;
  timeline.loaded = true;
  return timeline;
}

it('follows a message that comes at the end', () => {
  const timeline = atTheEndOf(20);
  timeline.apply([at(21)], []);
  expect(timeline.atEnd).toBe(true);
  expect(timeline.messages.at(-1)?.seq).toBe(21);
});

/** A timeline that is open at its end, its campus, and where it is asked about from then on. */
async function openAtTheEnd(): Promise<{ campus: Memory; timeline: Timeline; asked: string[] }> {
  const campus = new Memory();
  const asked: string[] = [];
  const answer = campus.timeline;
  campus.timeline = async (...args) => {
    asked.push(args[2].at);
    return structuredClone(await answer(...args));
  };
  serve(campus);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  asked.length = 0;
  return { campus, timeline, asked };
}

it('is taken anew once more, however often that is wanted meanwhile', async () => {
  const { timeline, asked } = await openAtTheEnd();
  await Promise.all([timeline.refresh(), timeline.refresh(), timeline.refresh(), timeline.refresh()]);
  expect(asked).toEqual(['after', 'after']);
});

it('opens another place first, and then need not be taken anew', async () => {
  const { campus, timeline, asked } = await openAtTheEnd();
  const anew = [timeline.refresh(), timeline.refresh()];
  campus.arrive('ball', 'just now');
  await Promise.all([...anew, timeline.open({ at: 'latest' })]);
  expect(asked).toEqual(['after', 'latest']);
  expect(timeline.messages.at(-1)?.text).toBe('just now');
  await timeline.refresh();
  expect(asked).toEqual(['after', 'latest', 'after']);
});

it('keeps the messages that say the same when it takes them anew', async () => {
  const { campus, timeline } = await openAtTheEnd();
  const before = timeline.messages;
  campus.held = campus.held.map((m) => (m.seq === 79 ? { ...m, text: 'edited', edited: true } : m));
  await timeline.refresh();
  expect(timeline.messages.map((m) => m.seq)).toEqual(before.map((m) => m.seq));
  const { rows } = timeline;
  await timeline.refresh();
  expect(timeline.rows).toBe(rows);
  const changed = timeline.messages.filter((m, i) => m !== before[i]);
  expect(changed.map((m) => m.text)).toEqual(['edited']);
});

it('stays where the unread begins when an absence has moved the end far away', () => {
  const timeline = atTheEndOf(20);
  timeline.apply([at(5_000)], []);
  expect(timeline.head).toBe(5_000);
  expect(timeline.atEnd).toBe(false);
  expect(timeline.from).toBe(1);
  expect(timeline.holds(21)).toBe(true);
  expect(timeline.messages.at(-1)?.seq).toBe(20);
  expect(timeline.rows.at(-1)?.kind).toBe('gap');
});

it.each([99, 100, 101, 199, 200, 201, 400])(
  'goes on beyond its end when it is taken anew with %i messages',
  async (held) => {
    const campus = holding(held, held, () => true);
    const timeline = new Timeline('campus', campus.circle.id);
    await timeline.open({ at: 'latest' });
    for (let n = 0; n < held; n += 100) await timeline.before();
    campus.circle = { ...campus.circle, head_seq: 5_000 };
    await timeline.refresh();
    expect([timeline.from, timeline.head]).toEqual([1, 5_000]);
    expect(timeline.rows.at(-1)).toMatchObject({ kind: 'gap', from: held + 1 });
  },
);

it.each([
  { what: 'its end, and stays there', top: 1, bottom: 200, from: 1, to: 190, keeps: true },
  { what: 'its end, below a gap', top: 60, bottom: 200, from: 60, to: 190, keeps: true },
  { what: 'its end, which is a gap', top: 60, bottom: 200, from: 61, to: 200, keeps: false },
  { what: 'its end, of which nothing is there', top: 1, bottom: 200, from: 1, to: 200, keeps: true },
  { what: 'the middle, above what came', top: 60, bottom: 90, from: 100, to: 190, keeps: false },
  { what: 'the middle, below what came', top: 60, bottom: 90, from: 20, to: 50, keeps: true },
])('is filled in while one looks at $what', async ({ top, bottom, from, to, keeps }) => {
  const campus = holding(200, 200, (seq) => seq < from || seq > to);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  await timeline.before();
  timeline.from = 1;
  await timeline.refresh();
  [timeline.top, timeline.bottom] = [top, bottom];
  campus.held = Array.from({ length: 200 }, (_, n) => at(n + 1));
  await timeline.refresh();
  expect(timeline.prepended).toBe(keeps);
});

it('goes on below a gap only when that is filled', async () => {
  const campus = holding(500, 100, (seq) => seq <= 100 || seq > 150);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'around', seq: 60 });
  const { to } = timeline;
  const gap = { kind: 'gap', from: 101, to };
  expect(timeline.rows.at(-1)).toMatchObject(gap);
  await timeline.after();
  expect(timeline.rows.at(-1)).toMatchObject(gap);
  campus.held = Array.from({ length: 500 }, (_, n) => at(n + 1));
  await timeline.refresh();
  await timeline.after();
  expect([timeline.rows.at(-1)?.kind, timeline.to]).toEqual(['message', to + 100]);
});

it('ends in a gap also when something unsent stands below it', async () => {
  const campus = holding(500, 100, (seq) => seq <= 100);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'around', seq: 60 });
  timeline.unsent = [{ ...at(1), id: 'unsent', seq: null }];
  const { to } = timeline;
  await timeline.after();
  expect(timeline.to).toBe(to);
});

it('goes on beyond its end also when the news come while it is taken anew', async () => {
  const campus = holding(100, 100, () => true);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  campus.circle = { ...campus.circle, head_seq: 5_000 };
  const anew = timeline.refresh();
  timeline.apply([at(5_000)], []);
  await anew;
  expect(timeline.rows.at(-1)).toMatchObject({ kind: 'gap', from: 101 });
});

/** A campus with a head and a read marker, of which these are held. */
function holding(head: number, read: number, held: (seq: number) => boolean): Memory {
  const campus = new Memory();
  campus.circle = { ...campus.circle, head_seq: head, read_seq: read };
  campus.held = Array.from({ length: head }, (_, n) => at(n + 1)).filter((m) => held(m.seq ?? 0));
  serve(campus);
  return campus;
}

it('lets nothing be passed over that is missing between what was read and the window', async () => {
  const campus = holding(5_000, 100, (seq) => seq <= 300 || seq > 4_900);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  expect(timeline.from).toBe(4_901);
  expect(timeline.heldTo).toBe(300);
  await timeline.open({ at: 'unread' });
  expect(timeline.heldTo).toBe(300);
});

it('lets all be passed over that is held, also what is not in the window', async () => {
  const campus = holding(5_000, 100, () => true);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  expect(timeline.heldTo).toBe(5_000);
  timeline.apply([at(5_001)], []);
  expect(timeline.heldTo).toBe(5_001);
});

it('is not passed over beyond a gap in the window, until that is filled', async () => {
  const campus = holding(80, 74, (seq) => seq !== 77);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'unread' });
  expect(timeline.heldTo).toBe(76);
  campus.held.push(at(77));
  campus.held.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  await timeline.refresh();
  expect(timeline.heldTo).toBe(80);
});

it.each([
  { screen: [1, 20], kept: [1, 2_000] },
  { screen: [2_981, 3_000], kept: [1_001, 3_000] },
  { screen: [800, 820], kept: [1, 2_000] },
  { screen: [1_600, 1_620], kept: [600, 3_000] },
  { screen: [1_200, 1_220], kept: [1, 2_220] },
])('cuts a window that has grown too long far from the screen: $screen', async ({ screen, kept }) => {
  const campus = holding(3_000, 3_000, () => true);
  const timeline = new Timeline('campus', campus.circle.id);
  await timeline.open({ at: 'latest' });
  timeline.from = 1;
  [timeline.top, timeline.bottom] = [screen[0] ?? 0, screen[1] ?? 0];
  await timeline.refresh();
  expect([timeline.from, timeline.to]).toEqual(kept);
  expect(timeline.messages.length).toBe(timeline.to - timeline.from + 1);
  expect(timeline.atEnd).toBe(timeline.to === 3_000);
});
