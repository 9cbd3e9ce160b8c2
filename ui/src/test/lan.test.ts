/** The local network in the interface: hosting, looking around, and the doctor. */
import { fireEvent, render, screen, within } from '@testing-library/svelte';
import { beforeEach, describe, expect, it } from 'vitest';
import Doctor from '../components/Doctor.svelte';
import Hosting from '../components/Hosting.svelte';
import JoinForm from '../components/JoinForm.svelte';
import type { CampusView } from '../generated/CampusView';
import { serve } from '../lib/api';
import { Memory } from './memory';

let memory: Memory;
const close = (): void => undefined;

// jsdom has the element and not what opens it.
HTMLDialogElement.prototype.showModal = function (): void {
  this.open = true;
};

beforeEach(() => {
  memory = new Memory();
  serve(memory);
});

function hosting(): void {
  render(Hosting, { campus: memory.campus as CampusView, onclose: close });
}

describe('hosting', () => {
  it('opens to the network, shows who is there, and closes again with what that means', async () => {
    hosting();
    await fireEvent.click(await screen.findByRole('button', { name: 'Let people on this network join' }));
    await screen.findByText('maple-otter-quartz-river');
    screen.getByText('Aylin, You');
    screen.getByText(/they keep everything they have/);
    await fireEvent.click(screen.getByRole('button', { name: 'Stop hosting on the network' }));
    await screen.findByText(/on this computer alone/);
    expect(memory.lan).toBeNull();
  });

  it('says so where the computer is on no network', async () => {
    memory.lan = { words: 'maple-otter-quartz-river', addresses: [] };
    hosting();
    await screen.findByText(/on no network now/);
  });

  it('makes an invite as link, QR code and code to type, and takes it back', async () => {
    memory.lan = { words: 'maple-otter-quartz-river', addresses: ['192.168.1.5:7081'] };
    memory.shortCode = 'ABCDE-12345-FGHJK-67890-MNPQR';
    hosting();
    await fireEvent.click(await screen.findByRole('button', { name: 'Create an invite' }));
    await screen.findByRole('img', { name: 'The invite link as a QR code' });
    screen.getByText('ABCDE-12345-FGHJK-67890-MNPQR');
    const list = screen.getByRole('list', { name: 'Invites that still admit' });
    await fireEvent.click(await within(list).findByRole('button', { name: 'Take back' }));
    await expect.poll(() => within(list).queryByRole('button', { hidden: true })).toBeNull();
    expect(memory.made).toEqual([]);
  });
});

describe('looking around', () => {
  it('lists relays, and asks for an invite to the one that is chosen', async () => {
    memory.found = [
      { name: 'Nordhaus', words: 'maple-otter-quartz-river', address: '192.168.1.5:7081', joined: false },
      { name: 'Südhaus', words: 'acorn-badge-cider-delta', address: '192.168.1.6:7081', joined: true },
    ];
    render(JoinForm);
    const mine = await screen.findByRole('button', { name: /Südhaus/ });
    expect(mine).toHaveProperty('disabled', true);
    await fireEvent.click(screen.getByRole('button', { name: /Nordhaus/ }));
    await screen.findByText(/ask its host for an invite/);
  });

  it('says that there is none, and asks the doctor why', async () => {
    memory.findings = [{ severity: 'note', says: 'No relay announces itself.', advice: 'Ask for the link.' }];
    render(JoinForm);
    await fireEvent.click(await screen.findByRole('button', { name: 'Should there be one?' }));
    await screen.findByText('Ask for the link.');
  });

  it('looks a code up only once it is whole', async () => {
    const asked: string[] = [];
    memory.previewInvite = async (link: string) => {
      asked.push(link);
      return { campus_name: 'Nordhaus', circle_name: 'rust', invited_by: 'Aylin', relay: '', person_name: null };
    };
    render(JoinForm);
    const field = screen.getByRole('textbox', { name: 'Invite link' });
    await fireEvent.input(field, { target: { value: 'abcde-12345' } });
    await fireEvent.input(field, { target: { value: 'abcde-12345-fghjk-67890-mnpqr' } });
    await screen.findByText('Aylin invites you.');
    expect(asked).toEqual(['abcde-12345-fghjk-67890-mnpqr']);
  });
});

describe('the doctor', () => {
  it('names what is wrong and what to do', async () => {
    memory.findings = [
      { severity: 'good', says: 'This computer is on a network.', advice: null },
      { severity: 'bad', says: 'The relay does not answer.', advice: 'Use a hotspot.' },
    ];
    render(Doctor, { onclose: close });
    await screen.findByText('The relay does not answer.');
    screen.getByText('Use a hotspot.');
    screen.getByLabelText('Problem');
    memory.findings = [];
    await fireEvent.click(screen.getByRole('button', { name: 'Look again' }));
    await expect.poll(() => screen.queryByText('Use a hotspot.')).toBeNull();
  });
});
