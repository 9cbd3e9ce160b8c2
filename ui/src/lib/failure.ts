import type { Failure } from '../generated/Failure';

/** Plain words for what a person can do something about; for the rest the words that came along. */
const WORDS: Record<string, string> = {
  offline: 'The relay cannot be reached. Check the network, or try again later.',
  not_a_relay: 'Something answered that is not a Circles relay. A Wi-Fi sign-in page, perhaps?',
  invite_link: 'This is not an invite. A link looks like https://…/join#… or circles://join?…, a code has 25 letters.',
  wrong_key:
    'Another relay answered: its key is not the one that you were invited to. Nothing was sent to it. Ask the host in person.',
  invite_unknown: 'The relay does not know this invite. Was the whole link copied?',
  invite_expired: 'This invite has expired. Ask for a new one.',
  invite_used_up: 'This invite has been used up. Ask for a new one.',
  invite_revoked: 'This invite was taken back. Ask for a new one.',
  already_joined: 'You already belong to this campus on this device.',
  unauthorized: 'This device is signed out. Ask for an invite that adds a device.',
  forbidden: 'You are not allowed to do that.',
  not_member: 'You are not a member of this circle any more.',
  cross_site: 'The relay refused the request, because it came from another site.',
  not_found: 'It is not there any more.',
  last_owner: 'You are the last owner. Make someone else an owner first.',
  message_deleted: 'The message has been deleted.',
  too_large: 'That is too long.',
  rate_limited: 'That was too fast. Wait a moment and try again.',
  store_unavailable: 'The relay cannot save anything just now. Try again in a moment.',
  storage_full: 'The disk of the relay is full.',
  shutting_down: 'The relay is restarting. Try again in a moment.',
  disk_full: 'The disk of this computer is full, so nothing can be saved. Free some space.',
  browser_full:
    'The browser has no room left for this page, so nothing was kept. Close what you do not need, or free some space.',
  cache_newer: 'The data on this device was written by a newer version of Circles. Update Circles to open it.',
};

export function isFailure(error: unknown): error is Failure {
  return typeof error === 'object' && error !== null && 'code' in error && 'message' in error;
}

/** What to tell a person about an error of an intent. */
export function words(error: unknown): string {
  if (isFailure(error)) return WORDS[error.code] ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

export function failure(code: string, message: string): Failure {
  return { code, message };
}
