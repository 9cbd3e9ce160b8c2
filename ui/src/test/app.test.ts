import { fireEvent, render, screen } from '@testing-library/svelte';
import { beforeEach, describe, expect, it } from 'vitest';
import App from '../App.svelte';
import CircleItem from '../components/CircleItem.svelte';
import ConnectionBar from '../components/ConnectionBar.svelte';
import JoinForm from '../components/JoinForm.svelte';
import PeoplePanel from '../components/PeoplePanel.svelte';
import FirstRun from '../components/FirstRun.svelte';
import { serve } from '../lib/api';
import { renderMarkdown } from '../lib/markdown';
import { view } from '../state/view.svelte';
import { Memory } from './memory';

describe('the interface', () => {
  let memory: Memory;
  beforeEach(() => {
    memory = new Memory();
    serve(memory);
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

  it('names a circle with what waits in it', () => {
    const circle = { ...memory.circle, unsent: 2, failed: 1 };
    render(CircleItem, { circle, now: 0, current: false, onselect: () => undefined });
    screen.getByRole('button', { name: 'rust, 6 unread, 2 unsent, 1 failed' });
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

  it('renders no raw HTML, no images and no script links', () => {
    const html = renderMarkdown(
      '<img src=x onerror=alert(1)> ![a](http://x/y.png) [b](javascript:alert(1)) https://ok.example',
    );
    expect(html).not.toMatch(/<img|<script|href="javascript/);
    expect(html).toContain('<a href="https://ok.example" target="_blank" rel="noopener noreferrer">');
  });
});
