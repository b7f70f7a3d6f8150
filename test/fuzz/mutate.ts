/** Inputs made from kept ones at random; the same seed makes the same inputs. */

/** 32 random bits (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const MAX_BYTES = 4096;
const MOST_CHANGES = 6;
/** Where lengths, signs and ends are mistaken. */
const EDGES = [0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x3c, 0x5b, 0x7f, 0x80, 0xfe, 0xff];

/** One of `corpus`, changed in one to six places. */
export function mutated(corpus: readonly Buffer[], random: () => number): Buffer {
  const below = (limit: number): number => random() % Math.max(1, limit);
  const oneOf = <T>(list: readonly T[], fallback: T): T => list[below(list.length)] ?? fallback;
  const empty = Buffer.alloc(0);
  const piece = (of: Buffer): Buffer => {
    const from = below(of.length);
    return of.subarray(from, from + 1 + below(32));
  };
  let bytes = Buffer.from(oneOf(corpus, empty));
  for (let changes = 1 + below(MOST_CHANGES); changes > 0; changes--) {
    const at = below(bytes.length + 1);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const ways = [
      () => Buffer.concat([before, Buffer.of(oneOf(EDGES, 0)), after.subarray(1)]),
      () => Buffer.concat([before, Buffer.of((after[0] ?? 0) ^ (1 << below(8))), after.subarray(1)]),
      () => Buffer.concat([before, Buffer.of(below(256)), after]),
      () => Buffer.concat([before, after.subarray(1 + below(16))]),
      () => Buffer.concat([before, piece(bytes), after]),
      () => Buffer.concat([before, piece(oneOf(corpus, empty)), after]),
      () => Buffer.concat([before, Buffer.alloc(1 + below(300), oneOf(EDGES, 0)), after]),
      () => before,
    ];
    bytes = Buffer.from(oneOf(ways, () => bytes)());
  }
  return bytes.subarray(0, MAX_BYTES);
}
