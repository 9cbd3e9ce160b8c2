import { expect, it } from 'vitest';
import type { Message } from '../../generated/Message';
import type { Person } from '../../generated/Person';
import type { Entry, Work } from './outbox';
import { CircleLog } from './timeline';
import { messageView } from './views';

const me = { id: 'me', name: 'Mira', hue: 1, role: 'member', version: 1 } as Person;
const message = { id: 'm', author_id: 'me', text: 'as it is', edited_at: null, deleted_at: null } as Message;
const failed = (work: Work): Entry => ({
  ...{ key: '1', circle: 'a', message: 'm', work, written_at: 0 },
  ...{ state: 'failed', reason: 'no' },
});

it('shows what was refused as refused, and the message as it is', () => {
  const shown = (work: Work) => messageView(message, new CircleLog(), { me, people: new Map() }, [failed(work)]);
  const edit = shown({ op: 'edit', text: 'better' });
  expect(edit).toMatchObject({ text: 'as it is', delivery: { what: 'edit', reason: 'no', text: 'better' } });
  expect(shown({ op: 'delete' })).toMatchObject({ text: 'as it is', deleted: false, delivery: { what: 'delete' } });
  expect(shown({ op: 'react', emoji: '🦀', on: true })).toMatchObject({ delivery: { what: 'react', text: null } });
});
