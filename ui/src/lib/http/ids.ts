/** A UUIDv7: the time in its first 48 bits, then randomness. It is the key that makes a creation repeatable. */
export function newId(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) & 0xff;
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = hexOf(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** 256 random bits as 64 hex digits. */
export const newToken = (): string => hexOf(crypto.getRandomValues(new Uint8Array(32)));

const hexOf = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * A key that sorts after `last`, also if the clock went back or stands still. Its random end keeps two tabs apart that
 * write in the same moment; which of the two was first then, nobody can tell.
 */
export function laterKey(last: string | undefined, now: number, end: string = newToken().slice(0, 8)): string {
  const [ms = 0, count = 0] = last?.split('-').map((part) => parseInt(part, 16)) ?? [];
  const digits = (value: number, width: number): string => value.toString(16).padStart(width, '0');
  return `${digits(Math.max(ms, now), 12)}-${digits(now > ms ? 0 : count + 1, 6)}-${end}`;
}
