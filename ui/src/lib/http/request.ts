/** One request to the relay that served the page; the cookie says who asks. Rejects with a `Failure`. */
import type { Problem } from '../../generated/Problem';
import { failure } from '../failure';

/** The relay answers within this, or it counts as unreachable. */
const ANSWER_MS_MAX = 20_000;

export async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`/v1${path}`, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  } catch {
    throw failure('offline', 'The relay cannot be reached.');
  }
  if (answer.status === 204) return undefined as T;
  const type = answer.headers.get('content-type') ?? '';
  if (!/^application\/(problem\+)?json/.test(type)) {
    throw answer.status >= 500
      ? failure('store_unavailable', `The relay answered with status ${answer.status}.`)
      : failure('not_a_relay', 'Something answered that is not a relay.');
  }
  const content: unknown = await answer.json().catch(() => {
    throw failure('offline', 'The answer of the relay was cut off.');
  });
  if (answer.ok) return content as T;
  const problem = content as Problem;
  throw failure(problem.code, problem.detail ?? problem.title);
}

/** Codes after which the same request may succeed later by itself (design 6, outbox). */
const PASSING = new Set([
  'offline',
  'not_a_relay',
  'rate_limited',
  'store_unavailable',
  'storage_full',
  'shutting_down',
  'internal',
  'too_many_streams',
]);

export const isPassing = (code: string): boolean => PASSING.has(code);
