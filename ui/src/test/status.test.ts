import { render, screen } from '@testing-library/svelte';
import axe from 'axe-core';
import { beforeEach, expect, it, vi } from 'vitest';
import type { CampusView } from '../generated/CampusView';
import Settings from '../components/Settings.svelte';
import Status from '../components/Status.svelte';
import { serve } from '../lib/api';
import { circles } from '../state/circles.svelte';
import { Memory } from './memory';

let memory: Memory;
let campus: CampusView;

beforeEach(async () => {
  memory = new Memory();
  serve(memory);
  if (!memory.campus) throw new Error('the campus is there');
  campus = memory.campus;
  await circles.load('campus');
});

it('says that everything is here', async () => {
  render(Status, { campus });
  screen.getByText('Connected to the relay.');
  await screen.findByText('All of your 5 circles are complete to now');
  expect(screen.queryByText(/set aside/)).toBeNull();
});

it('says how much of which circle is missing, as it changes, and what was not understood', async () => {
  memory.setAside = [{ event: 'change', reason: 'unknown kind' }];
  circles.apply('campus', [{ ...memory.circle, missing: 8 }]);
  const { rerender } = render(Status, { campus });
  const missing = async () => (await screen.findByRole('list', { name: 'Not complete' })).textContent.trim();
  expect(await missing()).toBe('rust: 8 changes are missing');
  screen.getByText('The other 4 circles are complete to now');
  screen.getByText(/^1 event was not understood and set aside/);
  screen.getByText('unknown kind');
  circles.apply('campus', [{ ...memory.circle, missing: 1 }]);
  await vi.waitFor(async () => expect(await missing()).toBe('rust: 1 change is missing'));
  await rerender({ campus: { ...campus, connection: { state: 'signed_out' } } });
  screen.getByText(/This device was signed out/);
});

it('says nothing of completeness where nothing is kept', async () => {
  memory.status = async () => [];
  render(Status, { campus });
  await vi.waitFor(() => screen.getByText('Connected to the relay.'));
  expect(screen.queryByText(/complete/)).toBeNull();
});

it('stands in the settings, and a screen reader finds its way', async () => {
  memory.setAside = [{ event: 'change', reason: 'unknown kind' }];
  circles.apply('campus', [{ ...memory.circle, missing: 8 }]);
  HTMLDialogElement.prototype.showModal ??= function (this: HTMLDialogElement) {
    this.open = true;
  };
  const { container } = render(Settings, { campus, onclose: () => undefined });
  await screen.findByText('The other 4 circles are complete to now');
  // There is no layout here to see colours by.
  const { violations } = await axe.run(container, { rules: { 'color-contrast': { enabled: false } } });
  expect(violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
});
