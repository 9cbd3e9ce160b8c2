import { fireEvent, render, screen, within } from '@testing-library/svelte';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import App from '../App.svelte';
import CircleHeader from '../components/CircleHeader.svelte';
import CircleItem from '../components/CircleItem.svelte';
import ConnectionBar from '../components/ConnectionBar.svelte';
import Main from '../components/Main.svelte';
import MessageRow from '../components/MessageRow.svelte';
import Jumps from '../components/Jumps.svelte';
import JoinForm from '../components/JoinForm.svelte';
import Notices from '../components/Notices.svelte';
import PeoplePanel from '../components/PeoplePanel.svelte';
import FirstRun from '../components/FirstRun.svelte';
import TypingLine from '../components/TypingLine.svelte';
import type { Connection } from '../generated/Connection';
import { serve } from '../lib/api';
import { renderMarkdown } from '../lib/markdown';
import { circles } from '../state/circles.svelte';
import { Composer } from '../state/composer.svelte';
import { opened } from '../state/opened.svelte';
import { presence } from '../state/presence.svelte';
import { Timeline } from '../state/timeline.svelte';
import { applyUpdate } from '../state/updates';
import { view } from '../state/view.svelte';
import { Memory } from './memory';

describe('the interface', () => {
  let memory: Memory;
  beforeEach(() => {
    memory = new Memory();
    serve(memory);
    circles.list = [];
  });

  it('offers three ways to begin', () => {
    render(FirstRun);
    for (const name of [/Join with a link/, /Host here/, /Look around/]) screen.getByRole('button', { name });
  });

  it('opens the form to join with the link that Circles was opened with', async () => {
    memory.campus = null;
    memory.invite = 'circles://join?relay=https%3A%2F%2Frelay.example&code=kX93hQ';
    render(App);
    await screen.findByText('Aylin invites you.');
    expect(screen.getByRole<HTMLInputElement>('textbox', { name: 'Invite link' }).value).toBe(memory.invite);
    await fireEvent.click(screen.getByRole('button', { name: 'Back' }));
    screen.getByRole('button', { name: /Host here/ });
  });

  it('says which campus a link leads to before joining', async () => {
    render(JoinForm, { link: 'https://relay.example/join#kX93hQ' });
    await screen.findByText('Nordhaus');
    screen.getByText('Aylin invites you.');
    screen.getByRole('textbox', { name: /Your name/ });
  });

  it('says in plain words that an invite has expired', async () => {
    render(JoinForm, { link: 'https://relay.example/join#expired' });
    expect((await screen.findByRole('alert')).textContent).toContain('This invite has expired');
  });

  it('says how many messages wait while offline', () => {
    const connection = { state: 'offline', since: 0, problem: 'unreachable', retry_at: 1 } as const;
    if (!memory.campus) throw new Error('the campus is there');
    render(ConnectionBar, { campus: { ...memory.campus, connection }, waiting: 3 });
    screen.getByText(/Offline since .* 3 messages wait and go out by themselves\./);
    screen.getByRole('button', { name: 'Try now' });
  });

  it('moves nothing for what passes within a moment, and says on what it says', async () => {
    const { campus } = memory;
    if (!campus) throw new Error('the campus is there');
    const as = (connection: Connection) => ({ campus: { ...campus, connection }, waiting: 0 });
    const [connecting, online] = [{ state: 'connecting' } as const, { state: 'online', missing: 0 } as const];
    vi.useFakeTimers();
    try {
      const { rerender, container } = render(ConnectionBar, as(online));
      const said = () => container.querySelector('p:not(.sr)')?.textContent.trim() ?? '';
      for (let missing = 900; missing >= 0; missing -= 100) {
        await rerender(as({ state: 'online', missing }));
        expect(said()).toBe('');
        await vi.advanceTimersByTimeAsync(45);
      }
      await rerender(as({ state: 'online', missing: 2 }));
      await vi.advanceTimersByTimeAsync(500);
      expect(said()).toBe('Catching up: 2 changes to go.');
      await rerender(as(online));
      expect(said()).toBe('');
      await rerender(as(connecting));
      await vi.advanceTimersByTimeAsync(1_499);
      expect(said()).toBe('');
      await vi.advanceTimersByTimeAsync(1);
      expect(said()).toBe('Connecting to the relay …');
      await rerender(as({ state: 'online', missing: 1 }));
      expect(said()).toBe('Catching up: 1 change to go.');
    } finally {
      vi.useRealTimers();
    }
  });

  it('speaks of catching up when it begins and when it is done, however often the number changes', async () => {
    const { campus } = memory;
    if (!campus) throw new Error('the campus is there');
    const missing = (missing: number) => ({ campus: { ...campus, connection: { state: 'online', missing } as const } });
    vi.useFakeTimers();
    try {
      const { rerender, container } = render(ConnectionBar, { ...missing(900), waiting: 0 });
      const spoken: string[] = [];
      const voice = container.querySelector('.sr');
      const bar = screen.getByRole('status', { name: 'Connection' });
      for (let left = 900; left >= 0; left -= 100) {
        await rerender(missing(left));
        expect(bar.getAttribute('aria-live')).toBe(left > 0 ? 'off' : 'polite');
        await vi.advanceTimersByTimeAsync(400);
        const said = voice?.textContent ?? '';
        if (said !== (spoken.at(-1) ?? '')) spoken.push(said);
      }
      expect(spoken).toEqual(['Catching up.', 'Up to date.']);
      await rerender({ campus: { ...campus, connection: { state: 'connecting' } } });
      expect(voice?.textContent).toBe('');
    } finally {
      vi.useRealTimers();
    }
  });

  it('names a circle with what waits in it', () => {
    const circle = { ...memory.circle, unsent: 2, failed: 1 };
    render(CircleItem, { circle, now: 0, current: false, onselect: () => undefined });
    screen.getByRole('button', { name: 'rust, 6 unread, 2 unsent, 1 failed' });
  });

  it('says that one is no longer in the circle that was open, until one chooses another', async () => {
    const { campus } = memory;
    if (!campus) throw new Error('the campus is there');
    await circles.load('campus');
    circles.select('rust');
    render(Main, { campus });
    circles.apply('campus', [{ ...memory.circle, joined: false, role: null }]);
    expect((await screen.findByRole('alert')).textContent).toBe('You are no longer in rust');
    circles.select('general');
    await vi.waitFor(() => expect(screen.queryByRole('alert')).toBeNull());
  });

  it('leads to the first unread message while that is not on the screen', async () => {
    const timeline = new Timeline('campus', 'rust');
    [timeline.head, timeline.read, timeline.top, timeline.bottom] = [80, 74, 20, 40];
    const onunread = vi.fn();
    render(Jumps, { timeline, unread: 6, unseen: 6, latest: true, onlatest: () => undefined, onunread });
    await fireEvent.click(screen.getByRole('button', { name: 'First unread, 6 unread' }));
    expect(onunread).toHaveBeenCalledOnce();
    screen.getByRole('button', { name: 'Jump to latest, 6 new' });
    [timeline.top, timeline.bottom] = [70, 80];
    await vi.waitFor(() => expect(screen.queryByRole('button', { name: /First unread/ })).toBeNull());
    [timeline.top, timeline.bottom] = [76, 80];
    await screen.findByRole('button', { name: /First unread/ });
    // Seen to the end: the count of the circle follows a moment later.
    timeline.seen = 80;
    await vi.waitFor(() => expect(screen.queryByRole('button', { name: /First unread/ })).toBeNull());
  });

  it('says that a circle mentions one, and leads from the absence to where', async () => {
    const { campus } = memory;
    if (!campus) throw new Error('the campus is there');
    const circle = { ...memory.circle, mentions: 2, first_mention: 76 };
    render(CircleItem, { circle, now: 0, current: false, onselect: () => undefined });
    expect(screen.getByRole('button', { name: 'rust, 6 unread, 2 mention you' }).textContent).toContain('@2');
    await circles.load('campus');
    circles.apply('campus', [circle]);
    await opened.open('campus', 'rust');
    const absence = { since: 0, until: 1, messages: 6, circles: 1, mentions: 2, took_ms: 9 };
    const { rerender } = render(Notices, { campus: { ...campus, absence } });
    await fireEvent.click(screen.getByRole('button', { name: 'Show the first mention' }));
    expect(opened.timeline?.target).toBe(76);
    await rerender({ campus: { ...campus, absence: { ...absence, mentions: 0 } } });
    expect(screen.queryByRole('button', { name: 'Show the first mention' })).toBeNull();
  });

  it('makes the actions of a message when the keyboard or the pointer comes to it', async () => {
    const timeline = new Timeline('campus', memory.circle.id);
    const row = (seq: number) => {
      const message = memory.held[seq - 1];
      if (!message) throw new Error('the message is there');
      const props = { message, first: true, highlighted: false, timeline, composer, onjump: () => undefined };
      return within(render(MessageRow, props).container);
    };
    const composer = new Composer('campus', memory.circle.id);
    const [one, other] = [row(1), row(2)];
    expect(one.queryByRole('button', { name: 'Reply' })).toBeNull();
    one.getByRole('button', { name: 'Message actions' }).focus();
    const first = await one.findByRole('button', { name: 'Add reaction' });
    await vi.waitFor(() => expect(document.activeElement).toBe(first));
    await fireEvent.click(one.getByRole('button', { name: 'Reply' }));
    expect(composer.replyId).toBe(memory.held[0]?.id);

    await fireEvent.pointerOver(other.getByRole('article'));
    other.getByRole('button', { name: 'Reply' });
    expect(document.activeElement).toBe(first);
  });

  it('offers to add people to a private circle only, and to an open one to invite into the campus', async () => {
    const { campus } = memory;
    if (!campus) throw new Error('the campus is there');
    const props = (access: 'open' | 'private') => ({ campus, circle: { ...memory.circle, access } });
    const { rerender } = render(PeoplePanel, props('private'));
    await fireEvent.click(screen.getByRole('button', { name: 'Add people' }));
    await rerender(props('open'));
    screen.getByRole('heading', { name: 'People' });
    expect(screen.queryByRole('button', { name: /^Add / })).toBeNull();
    await fireEvent.click(screen.getByRole('button', { name: 'Invite to the campus' }));
    expect(view.dialog).toBe('invite');
  });

  it('shows types in angle brackets as they were written', () => {
    expect(renderMarkdown('use Rc<Vec<gtk::Label>> or <b:c>')).toBe(
      '<p>use Rc&lt;Vec&lt;gtk::Label&gt;&gt; or &lt;b:c&gt;</p>\n',
    );
    expect(renderMarkdown('[here](smb://server/share)')).not.toContain('<a');
    expect(renderMarkdown('see <https://ok.example/a>')).toContain('<a href="https://ok.example/a"');
  });

  it('says who types in the circle, politely, and keeps the place of the line', async () => {
    render(TypingLine, { circle: 'rust' });
    const line = document.querySelector('[aria-live="polite"]');
    expect(line?.textContent).toBe('');
    const type = (circle_id: string, ...names: string[]): void => {
      const people = names.map((name) => ({ id: name, name, hue: 1, role: 'member' as const }));
      applyUpdate({ update: 'typing', campus_id: 'campus', circle_id, people });
    };
    type('rust', 'Ada', 'Bob');
    type('general', 'Eve');
    await screen.findByText('Ada and Bob are typing…');
    type('rust');
    await vi.waitFor(() => expect(line?.textContent).toBe(''));
    expect(line?.isConnected).toBe(true);
  });

  it('tells of the first key and of the emptied composer, but not of an edit', () => {
    const composer = new Composer('campus', 'rust');
    composer.text = 'h';
    composer.input();
    composer.text = ' ';
    composer.input();
    const message = memory.held.at(-1);
    if (message) composer.edit(message);
    composer.input();
    expect(memory.told).toEqual([
      ['rust', true],
      ['rust', false],
      ['rust', false],
    ]);
  });

  it('takes what another device wrote, but never over what is being written here', async () => {
    const composer = new Composer('campus', 'rust');
    await composer.load();
    const other = async (text: string): Promise<void> => {
      memory.drafted('rust', text);
      await composer.refresh();
    };
    await other('from the phone');
    expect(composer.text).toBe('from the phone');

    composer.entered();
    await other('more from the phone');
    expect(composer.text).toBe('from the phone');
    await composer.left();
    expect(composer.text).toBe('more from the phone');

    composer.text = 'typed here';
    await other('meanwhile');
    expect(composer.text).toBe('typed here');
    await composer.left();
    expect(await memory.draft('campus', 'rust')).toMatchObject({ text: 'typed here' });
    await other('');
    expect(composer.text).toBe('');
  });

  it('shows a muted circle quietly, and counts nothing of it', async () => {
    circles.campusId = 'campus';
    circles.apply('campus', [memory.circle]);
    expect(circles.unread).toBe(6);
    const { rerender } = render(CircleHeader, { circle: memory.circle });
    const stop = memory.subscribe(applyUpdate);
    await fireEvent.click(screen.getByRole('button', { name: 'Mute', pressed: false }));
    await vi.waitFor(() => expect(circles.unread).toBe(0));
    await rerender({ circle: memory.circle });
    screen.getByRole('button', { name: 'Mute', pressed: true });
    render(CircleItem, { circle: memory.circle, now: 0, current: false, onselect: () => undefined });
    const item = screen.getByRole('button', { name: 'rust, muted, 6 unread' });
    expect(item.classList.contains('unread')).toBe(false);
    stop();
  });

  it('marks who is online for eyes and for a screen reader, as it changes', async () => {
    const { campus } = memory;
    if (!campus) throw new Error('the campus is there');
    const { unmount } = render(PeoplePanel, { campus, circle: memory.circle });
    const row = async (name: string) => (await screen.findByText(name, { exact: false })).closest('li') as HTMLElement;
    await vi.waitFor(async () => within(await row('talchas')).getByText('online'));
    expect(within(await row('mib_y9uyk1')).queryByText('online')).toBeNull();
    applyUpdate({ update: 'presence', campus_id: 'campus', person_id: 'mib_y9uyk1', online: true });
    applyUpdate({ update: 'presence', campus_id: 'campus', person_id: 'talchas', online: false });
    await vi.waitFor(async () => within(await row('mib_y9uyk1')).getByText('online'));
    expect(within(await row('talchas')).queryByText('online')).toBeNull();
    memory.online.clear();
    applyUpdate({ update: 'presence', campus_id: 'campus', person_id: null, online: false });
    await vi.waitFor(() => expect(screen.queryByText('online')).toBeNull());
    unmount();
  });

  it('takes what is told while it asks for newer than the answer', async () => {
    let answer: (online: string[]) => void = () => undefined;
    memory.presence = () => new Promise((resolve) => (answer = resolve));
    const end = presence.show('campus', 'rust');
    presence.apply('campus', 'ada', false);
    presence.apply('campus', 'bob', true);
    answer(['ada', 'cleo']);
    await vi.waitFor(() => expect(presence.has('cleo')).toBe(true));
    expect([presence.has('ada'), presence.has('bob')]).toEqual([false, true]);
    end();
    expect(presence.has('cleo')).toBe(false);
  });

  it('keeps a message that comes while an older answer is under way', async () => {
    const timeline = new Timeline('campus', memory.circle.id);
    const ask = memory.timeline;
    memory.timeline = async (...args) => {
      const answer = await ask(...args);
      timeline.apply([memory.arrive('ball', 'in between')], []);
      return answer;
    };
    await timeline.open({ at: 'latest' });
    expect(timeline.messages.at(-1)?.text).toBe('in between');
    expect(timeline.atEnd).toBe(true);
  });

  it('keeps what is told of a circle while an older list is under way', async () => {
    const ask = memory.circles;
    memory.circles = async () => {
      const list = await ask();
      circles.apply('campus', [{ ...memory.circle, unread: 7 }]);
      return list;
    };
    await circles.load('campus');
    expect(circles.list.find((it) => it.id === memory.circle.id)?.unread).toBe(7);
  });

  it('shows nothing any more of a circle that one was removed from, also while an older list is under way', async () => {
    await circles.load('campus');
    circles.select('kitchen');
    const gone = () => applyUpdate({ update: 'circles_gone', campus_id: 'campus', circles: ['kitchen'] });
    const ids = () => circles.list.map((it) => it.id);
    gone();
    expect(circles.currentId).not.toBe('kitchen');
    expect(ids()).not.toContain('kitchen');

    const ask = memory.circles;
    memory.circles = async () => {
      const list = await ask();
      gone();
      return list;
    };
    await circles.load('campus');
    expect(ids()).not.toContain('kitchen');

    memory.circles = async () => (await ask()).filter((it) => it.id !== 'kitchen');
    circles.apply(
      'campus',
      (await ask()).filter((it) => it.id === 'kitchen'),
    );
    circles.select('kitchen');
    await circles.load('campus');
    expect(circles.currentId).not.toBe('kitchen');
  });

  it('renders no raw HTML, no images and no script links', () => {
    const html = renderMarkdown(
      '<img src=x onerror=alert(1)> ![a](http://x/y.png) [b](javascript:alert(1)) https://ok.example',
    );
    expect(html).not.toMatch(/<img|<script|href="javascript/);
    expect(html).toContain('<a href="https://ok.example" target="_blank" rel="noopener noreferrer">');
  });
});
