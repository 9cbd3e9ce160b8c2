/**
 * The number of the first of `head` messages that was sent at this time or later; `null`: all are older. Time grows with
 * the number, so each look halves what is left. Pure.
 */
export async function firstSince(
  head: number,
  at: number,
  sentAt: (seq: number) => Promise<number>,
): Promise<number | null> {
  let [older, younger] = [0, head + 1];
  while (older + 1 < younger) {
    const middle = Math.floor((older + younger) / 2);
    if ((await sentAt(middle)) < at) older = middle;
    else younger = middle;
  }
  return younger <= head ? younger : null;
}
