import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DraftView } from '../generated/DraftView';
import { serve } from '../lib/api';
import { Memory } from '../test/memory';
import { Composer } from './composer.svelte';

const memory = new Memory();
const drafted = (): Promise<DraftView> => memory.draft('campus', 'rust');
const mine = { id: 'mine', text: 'as it was sent' };
let composer: Composer;

beforeEach(async () => {
  serve(memory);
  localStorage.clear();
  await memory.setDraft('campus', 'rust', { text: '', reply_to: null, editing: null });
  composer = new Composer('campus', 'rust');
});
afterEach(() => vi.restoreAllMocks());

async function write(text: string): Promise<void> {
  await composer.load();
  composer.text = text;
  await composer.flush();
}

describe('an edit', () => {
  it('gives back what stood in the composer when it is cancelled', async () => {
    await write('half a thought');
    composer.replyId = 'asked';
    composer.edit(mine);
    await composer.flush();
    composer.edit({ id: 'another', text: 'also mine' });
    composer.cancel();
    expect([composer.text, composer.replyId, composer.editing]).toEqual(['half a thought', 'asked', null]);
    await composer.flush();
    expect(await drafted()).toEqual({ text: 'half a thought', reply_to: 'asked', editing: null });
  });

  it('gives it back when it is saved', async () => {
    await write('half a thought');
    composer.edit(mine);
    composer.text = 'better';
    await composer.submit();
    expect(composer.text).toBe('half a thought');
    expect(await drafted()).toMatchObject({ text: 'half a thought', editing: null });
  });

  it('gives it back after a restart too', async () => {
    await write('half a thought');
    composer.edit(mine);
    composer.text = 'bett';
    await composer.flush();
    composer = new Composer('campus', 'rust');
    await composer.load();
    expect([composer.text, composer.editing]).toEqual(['bett', 'mine']);
    composer.cancel();
    await composer.flush();
    expect(composer.text).toBe('half a thought');
  });

  it('gives it back when the edit ended on another device', async () => {
    await write('half a thought');
    composer.edit(mine);
    await composer.flush();
    await memory.setDraft('campus', 'rust', { text: 'from the phone', reply_to: null, editing: null });
    composer = new Composer('campus', 'rust');
    await composer.load();
    expect(composer.text).toBe('half a thought\nfrom the phone');
  });

  it('brings nothing back that was sent since', async () => {
    await write('half a thought');
    composer.edit(mine);
    composer.cancel();
    await composer.submit();
    composer = new Composer('campus', 'rust');
    await composer.load();
    expect(composer.text).toBe('');
  });

  it('that is refused stays, and keeps what stood there before', async () => {
    vi.spyOn(memory, 'edit').mockRejectedValue(new Error('no room'));
    await write('half a thought');
    composer.edit(mine);
    composer.text = 'better';
    await composer.submit();
    expect([composer.text, composer.editing]).toEqual(['better', 'mine']);
    composer.cancel();
    expect(composer.text).toBe('half a thought');
  });
});

describe('a message that is refused here', () => {
  it('stands before what was typed meanwhile, and is kept', async () => {
    await write('first');
    composer.replyId = 'asked';
    let refuse: (why: Error) => void = () => undefined;
    vi.spyOn(memory, 'send').mockReturnValue(new Promise((_, reject) => (refuse = reject)));
    const sending = composer.submit();
    composer.text = 'second';
    refuse(new Error('no room'));
    await sending;
    expect([composer.text, composer.replyId]).toEqual(['first\nsecond', 'asked']);
    await composer.flush();
    expect(await drafted()).toMatchObject({ text: 'first\nsecond', reply_to: 'asked' });
  });

  it('comes back after the edit that was begun meanwhile', async () => {
    await write('first');
    vi.spyOn(memory, 'send').mockRejectedValue(new Error('no room'));
    const sending = composer.submit();
    composer.edit(mine);
    await sending;
    expect(composer.text).toBe('as it was sent');
    composer.cancel();
    expect(composer.text).toBe('first');
  });
});

describe('before the draft is there', () => {
  beforeEach(() => memory.setDraft('campus', 'rust', { text: 'stored', reply_to: 'asked', editing: null }));

  it('nothing is kept over it, and what is typed comes after it', async () => {
    composer.text = 'typed';
    await composer.flush();
    expect(await drafted()).toMatchObject({ text: 'stored' });
    await composer.load();
    expect([composer.text, composer.replyId]).toEqual(['stored\ntyped', 'asked']);
    await composer.flush();
    expect(await drafted()).toMatchObject({ text: 'stored\ntyped' });
  });

  it('a message that is sent does not take it along', async () => {
    composer.text = 'typed';
    expect(await composer.submit()).toMatchObject({ text: 'typed', reply: null });
    expect(composer.text).toBe('stored');
    expect(await drafted()).toMatchObject({ text: 'stored', reply_to: 'asked' });
  });

  it('an edit does not take it along', async () => {
    composer.edit(mine);
    await composer.load();
    expect([composer.text, composer.editing]).toEqual(['as it was sent', 'mine']);
    composer.cancel();
    expect([composer.text, composer.replyId]).toEqual(['stored', 'asked']);
  });
});

it('a message is sent and its draft emptied with one stroke', async () => {
  await write('all of it');
  const written = vi.spyOn(memory, 'setDraft');
  await composer.submit();
  expect(await drafted()).toMatchObject({ text: '' });
  expect(written).not.toHaveBeenCalled();
});
