import { cleanup, fireEvent, render, screen } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import DeliveryState from '../components/DeliveryState.svelte';
import MessageRow from '../components/MessageRow.svelte';
import NotSent from '../components/NotSent.svelte';
import Sidebar from '../components/Sidebar.svelte';
import type { Delivery } from '../generated/Delivery';
import type { MessageView } from '../generated/MessageView';
import { serve } from '../lib/api';
import { Composer } from '../state/composer.svelte';
import { Timeline } from '../state/timeline.svelte';
import { view } from '../state/view.svelte';
import { Memory } from './memory';

let memory: Memory;
let composer: Composer;
const timeline = new Timeline('campus', 'rust');

beforeEach(() => {
  memory = new Memory();
  serve(memory);
  localStorage.clear();
  composer = new Composer('campus', 'rust');
});
afterEach(cleanup);

const held = (delivery: Delivery): MessageView => ({ ...(memory.held[0] ?? expect.fail('a message')), delivery });
const buttons = () => screen.getAllByRole('button').map((button) => button.textContent);

describe('what the relay refused', () => {
  it.each([
    ['post', 'Not sent: no', ['Retry', 'Edit', 'Discard']],
    ['edit', 'Edit not sent: no', ['Retry', 'Edit', 'Discard']],
    ['delete', 'Not deleted: no', ['Retry', 'Keep it']],
    ['react', 'Reaction not sent: no', ['Retry', 'Dismiss']],
  ] as const)('is called what it is, with the buttons that make sense: %s', (what, says, offers) => {
    const message = held({ state: 'failed', what, reason: 'no', text: null });
    render(DeliveryState, { message, timeline, composer });
    screen.getByText(says);
    expect(buttons()).toEqual(offers);
  });

  it("shows the text of an edit that is not the message's, and goes on from it", async () => {
    const message = held({ state: 'failed', what: 'edit', reason: 'no', text: 'what I meant' });
    render(DeliveryState, { message, timeline, composer });
    screen.getByText('what I meant');
    await fireEvent.click(screen.getByRole('button', { name: 'Edit' }));
    expect([composer.text, composer.editing]).toEqual(['what I meant', message.id]);
  });
});

it('a message behind one that was not sent says so, and leads to it', async () => {
  Element.prototype.scrollIntoView = vi.fn();
  const refused = memory.message(null, 'Mira Okafor', 'too long', 0);
  refused.delivery = { state: 'failed', what: 'post', reason: 'too long', text: null };
  const message = memory.message(null, 'Mira Okafor', 'and another thing', 0);
  message.delivery = { state: 'blocked', by: refused.id };
  for (const it of [refused, message]) {
    render(MessageRow, { message: it, first: true, highlighted: false, timeline, composer, onjump: () => undefined });
  }
  screen.getByText('Waits behind a message that was not sent');
  await fireEvent.click(screen.getByRole('button', { name: 'Show it' }));
  expect(document.activeElement).toBe(screen.getByRole('button', { name: 'Retry' }));
});

it('what was not sent in a circle that one is not in any more is there to copy and to give up', async () => {
  memory.lost = [
    {
      message_id: 'm',
      circle_id: 'kitchen',
      circle: null,
      what: 'post',
      text: 'an hour of work',
      at: 0,
      reason: 'You are not a member of this circle.',
    },
  ];
  const campus = { ...(memory.campus ?? expect.fail('a campus')), stranded: 1 };
  render(Sidebar, { campus });
  await fireEvent.click(screen.getByRole('button', { name: '1 not sent, in circles you are not in' }));
  expect(view.dialog).toBe('not-sent');

  HTMLDialogElement.prototype.showModal ??= function open(this: HTMLDialogElement) {
    this.open = true;
  };
  render(NotSent, { campus, onclose: () => undefined });
  await screen.findByText('an hour of work');
  screen.getByText('You are not a member of this circle.');
  screen.getByRole('button', { name: 'Copy' });
  await fireEvent.click(screen.getByRole('button', { name: 'Discard' }));
  await screen.findByText('Nothing any more.');
});
