/** Whether two things take the same time, told by ranks: a busy machine slows both, and outliers weigh nothing. */
import { expect } from 'vitest';

/** Of 30 samples each, equal distributions are this far from one half about once in 15,000 times. */
const TOLERANCE = 0.3;
export const SAMPLES = 30;
/** Rounds before, which are not counted. */
export const WARM_UP = 3;

/** The probability that a sample of `a` is larger than one of `b` (Mann and Whitney): one half if nothing is to be seen. */
function superiority(a: readonly number[], b: readonly number[]): number {
  let wins = 0;
  for (const x of a) for (const y of b) wins += x > y ? 1 : x === y ? 0.5 : 0;
  return wins / (a.length * b.length);
}

/** Times of `run` for each of `kinds`, which take turns in another order each round; a function that gives them by kind. */
export async function timesOf(
  kinds: readonly string[],
  run: (kind: string) => Promise<void>,
): Promise<(kind: string) => readonly number[]> {
  const times = new Map(kinds.map((kind) => [kind, [] as number[]]));
  for (let round = -WARM_UP; round < SAMPLES; round++) {
    for (const kind of kinds.toSorted(() => Math.random() - 0.5)) {
      const start = performance.now();
      await run(kind);
      if (round >= 0) times.get(kind)?.push(performance.now() - start);
    }
  }
  return (kind) => times.get(kind) ?? [];
}

/** Samples must have been taken in turns, so that what else the machine does meets both alike. Milliseconds. */
export function expectSameTime(a: readonly number[], b: readonly number[], what: string): void {
  const median = (times: readonly number[]): string =>
    (times.toSorted((x, y) => x - y)[times.length >> 1] ?? 0).toFixed(3);
  const seen = `${what}: medians ${median(a)} ms and ${median(b)} ms`;
  expect(Math.abs(superiority(a, b) - 0.5), seen).toBeLessThan(TOLERANCE);
}
