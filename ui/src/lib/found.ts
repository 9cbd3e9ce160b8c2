/** The rows of a search's answer, as the keyboard goes through them. Pure. */
import type { CampusView } from '../generated/CampusView';
import type { CircleView } from '../generated/CircleView';
import type { FoundMessage } from '../generated/FoundMessage';
import type { PersonView } from '../generated/PersonView';
import type { SearchCoverage } from '../generated/SearchCoverage';
import { count } from './time';

export type Found =
  | { kind: 'circle'; key: string; circle: CircleView }
  | { kind: 'person'; key: string; person: PersonView }
  | { kind: 'message'; key: string; message: FoundMessage }
  | { kind: 'more'; key: string };

export interface Group {
  name: string;
  rows: Found[];
}

/** What was found, in groups that are not empty. */
export function groupsOf(
  circles: CircleView[],
  people: PersonView[],
  messages: FoundMessage[],
  more: boolean,
): Group[] {
  const groups: Group[] = [
    { name: 'Circles', rows: circles.map((circle) => ({ kind: 'circle', key: `circle-${circle.id}`, circle })) },
    { name: 'People', rows: people.map((person) => ({ kind: 'person', key: `person-${person.id}`, person })) },
    { name: 'Messages', rows: messages.map((message) => ({ kind: 'message', key: `message-${message.id}`, message })) },
  ];
  if (more) groups[2]?.rows.push({ kind: 'more', key: 'more' });
  return groups.filter((group) => group.rows.length > 0);
}

/** How much was searched, in words; nothing if it was everything. */
export function coverageWords(covered: SearchCoverage, connection: CampusView['connection']): string {
  const [first] = covered.partly;
  const words: string[] = [];
  if (first && covered.partly.length === 1) {
    words.push(`Searched ${count(first.searched)} of ${count(first.total)} messages of ${first.name}.`);
  } else if (first) {
    words.push(
      `Searched ${count(covered.searched)} of ${count(covered.total)} messages: ` +
        `most are missing of ${first.name} (${count(first.total - first.searched)}).`,
    );
  }
  if (connection.state !== 'online') words.push('Not connected: what came since is not searched.');
  return words.join(' ');
}
