/** What there is to tell of a campus, in words. */
import type { Absence } from '../generated/Absence';
import type { Renewal } from '../generated/Renewal';
import { clockTime, count, duration, many, seconds } from './time';

/** "Away 2 h 14 min: 37 messages in 4 circles, 2 mention you. Up to date in 0.8 s." */
export function absenceWords(it: Absence): string {
  const missed =
    it.messages === 0
      ? 'nothing new'
      : `${many(it.messages, 'message', 'messages')} in ${many(it.circles, 'circle', 'circles')}`;
  const mentions =
    it.mentions === 0 ? '' : `, ${it.mentions === 1 ? '1 mentions' : `${count(it.mentions)} mention`} you`;
  return `Away ${duration(it.until - it.since)}: ${missed}${mentions}. Up to date in ${seconds(it.took_ms)}.`;
}

export function renewalWords(it: Renewal, kept: number): string {
  const begun = `The relay was set back to an earlier state at ${clockTime(it.at)}.`;
  if (it.comparing) return `${begun} Comparing what this device has with it …`;
  const sent = many(it.offered, 'thing that you wrote goes', 'things that you wrote go');
  const offered = it.offered === 0 ? '' : ` ${sent} to it again.`;
  const lost = kept === 0 ? '' : ` ${keptWords(kept)}.`;
  return `${begun}${offered}${lost}${offered || lost ? '' : ' Nothing is missing.'}`;
}

export const keptWords = (n: number): string =>
  `${many(n, 'message', 'messages')} that the relay lost ${n === 1 ? 'is' : 'are'} kept on this device`;
