/**
 * Every target of targets.ts on its kept inputs (corpus/TARGET) and on changed ones: a fixed number, always the same, or with
 * FUZZ_SECONDS for that long each and from another seed every time (scripts/fuzz.sh). An input that fails is written to
 * build/fuzz; put into corpus/TARGET, it is tried by every run.
 */
import { hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { generator, mutated } from './mutate.ts';
import { type Target, targets } from './targets.ts';

const CORPUS = join(import.meta.dirname, 'corpus');
const FINDINGS = 'build/fuzz';
const INPUTS = 300;
/** Far above what any input of 4 KiB should take on any machine. */
const HANG_MS = 10_000;
const seconds = Number(process.env.FUZZ_SECONDS ?? 0);
const wanted = process.env.FUZZ_TARGETS?.split(' ').filter((name) => name !== '') ?? [];

const corpusOf = (name: string): Buffer[] =>
  readdirSync(join(CORPUS, name))
    .sort()
    .map((file) => readFileSync(join(CORPUS, name, file)));

/** Runs one input; a failure names the file that repeats it. */
async function attempt(name: string, target: Target, input: Buffer): Promise<void> {
  const started = performance.now();
  try {
    await target(input);
    if (performance.now() - started > HANG_MS) throw new Error(`it took more than ${HANG_MS} ms`);
  } catch (error) {
    mkdirSync(FINDINGS, { recursive: true });
    const file = join(FINDINGS, `${name}-${hash('sha1', input)}`);
    writeFileSync(file, input);
    throw new Error(`${name} failed for the input in ${file}`, { cause: error });
  }
}

describe('parsers', () => {
  test('each has kept inputs', () => {
    expect(readdirSync(CORPUS).sort()).toEqual(Object.keys(targets).sort());
  });

  const chosen = Object.entries(targets).filter(([name]) => wanted.length === 0 || wanted.includes(name));
  test.each(chosen)('%s', { timeout: 60_000 + seconds * 2000, retry: 0 }, async (name, target) => {
    const corpus = corpusOf(name);
    expect(corpus.length).toBeGreaterThan(1);
    for (const input of corpus) await attempt(name, target, input);
    const random = generator(seconds > 0 ? Date.now() : 1);
    const end = performance.now() + seconds * 1000;
    for (let count = 0; seconds > 0 ? performance.now() < end : count < INPUTS; count++)
      await attempt(name, target, mutated(corpus, random));
  });
});
