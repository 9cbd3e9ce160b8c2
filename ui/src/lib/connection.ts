/** How it stands with the relay, in words. */
import type { Connection } from '../generated/Connection';
import type { ConnectionProblem } from '../generated/ConnectionProblem';
import { count, many, writtenTime } from './time';

export interface ConnectionWords {
  tone: 'quiet' | 'warn' | 'bad';
  text: string;
  retry: boolean;
}

const PROBLEM: Record<ConnectionProblem, (since: string) => string> = {
  unreachable: (since) => `Offline since ${since}.`,
  not_a_relay: () => 'This Wi-Fi wants you to sign in first: something that is not the relay answered.',
  wrong_key: () =>
    'Another relay answered in the place of this one, with another key. Nothing was sent to it. Ask the host in person.',
  relay_unavailable: (since) => `The relay cannot serve anyone since ${since}.`,
  silent: (since) => `The connection went silent at ${since}.`,
  incompatible: () => 'The relay speaks a newer version than this app. Update Circles.',
  disk_full: () => 'The disk is full, so nothing new can be kept. Free some space.',
};

/** Problems that do not pass by themselves. */
const BAD: ConnectionProblem[] = ['wrong_key', 'disk_full', 'incompatible'];

/** Nothing to say when all is well. */
export function connectionWords(connection: Connection, waiting: number, now = Date.now()): ConnectionWords | null {
  switch (connection.state) {
    case 'connecting':
      return { tone: 'quiet', text: 'Connecting to the relay …', retry: false };
    case 'online':
      if (connection.missing === 0) return null;
      return {
        tone: 'quiet',
        text: `Catching up: ${many(connection.missing, 'change', 'changes')} to go.`,
        retry: false,
      };
    case 'signed_out':
      return { tone: 'bad', text: 'This device was signed out. To come back, use a new invite link.', retry: false };
    case 'offline':
      return {
        tone: BAD.includes(connection.problem) ? 'bad' : 'warn',
        text: PROBLEM[connection.problem](writtenTime(connection.since, now)) + waitingWords(waiting),
        retry: true,
      };
  }
}

function waitingWords(waiting: number): string {
  if (waiting === 0) return '';
  if (waiting === 1) return ' 1 message waits and goes out by itself.';
  return ` ${count(waiting)} messages wait and go out by themselves.`;
}
