/** A pure function that keeps its last `most` answers: rows come and go while scrolling, and say the same again. */
export function remember<T>(most: number, answer: (of: string) => T): (of: string) => T {
  const known = new Map<string, T>();
  return (of) => {
    const before = known.get(of);
    if (before !== undefined) return before;
    const now = answer(of);
    const oldest = known.size >= most ? known.keys().next() : { done: true as const };
    if (!oldest.done) known.delete(oldest.value);
    known.set(of, now);
    return now;
  };
}
