/** Dates and times in the reader's own language and zone. */
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const dayThisYear = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayLong = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const shortYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const whole = new Intl.NumberFormat();

export const clockTime = (at: number): string => clock.format(at);
export const fullTime = (at: number): string => full.format(at);
export const count = (n: number): string => whole.format(n);
/** "1 change", "1,234 changes". */
export const many = (n: number, one: string, more: string): string => `${count(n)} ${n === 1 ? one : more}`;

/** Counts local days: the same for all moments of one day. */
export function dayOf(at: number): number {
  const date = new Date(at);
  return Math.floor(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000);
}

export function dayName(at: number, now: number): string {
  const days = dayOf(now) - dayOf(at);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? dayThisYear.format(at) : dayLong.format(at);
}

/** As short as the list of circles needs it. */
export function shortTime(at: number, now: number): string {
  const days = dayOf(now) - dayOf(at);
  if (days <= 0) return clock.format(at);
  if (days < 7) return weekday.format(at).slice(0, 3);
  return new Date(at).getFullYear() === new Date(now).getFullYear() ? short.format(at) : shortYear.format(at);
}

/** When something was written that came later: with the day, if that was another one. */
export function writtenTime(at: number, came: number): string {
  if (dayOf(at) === dayOf(came)) return clock.format(at);
  const day = new Date(at).getFullYear() === new Date(came).getFullYear() ? short : shortYear;
  return `${day.format(at)}, ${clock.format(at)}`;
}

/** A stretch of time in its two largest units: "3 d 4 h", "2 h 14 min", "6 min". */
export function duration(ms: number): string {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  const [days, hours, rest] = [Math.floor(minutes / 1_440), Math.floor(minutes / 60) % 24, minutes % 60];
  const units: [number, string][] = [
    [days, 'd'],
    [hours, 'h'],
    [days > 0 ? 0 : rest, 'min'],
  ];
  return units
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ');
}

/** A short time: "0.8 s", "12 s". */
export const seconds = (ms: number): string => `${ms < 10_000 ? (ms / 1_000).toFixed(1) : Math.round(ms / 1_000)} s`;

/** A day as a date field writes it: so many days before that of a moment. */
export function dayInput(at: number, before: number): string {
  const date = new Date(at);
  return new Date(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate() - before)).toISOString().slice(0, 10);
}

/** The first moment of a day as a date field writes it; `null`: that is none. Also fields without a calendar write it. */
export function startOfDay(day: string): number | null {
  const [, year, month, date] = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(day.trim())?.map(Number) ?? [];
  if (year === undefined || month === undefined || date === undefined) return null;
  const start = new Date(year, month - 1, date);
  return start.getMonth() === month - 1 && start.getDate() === date ? start.getTime() : null;
}
