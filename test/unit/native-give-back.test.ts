/** A process gives memory back after a rush, and not in the middle of one. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);

/** Works for some looks, then rests until the collection has come; tells what V8 held for new objects. Bytes. */
const program = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
  import { giveBackMemory } from './dist/core/native/give-back.js';
  import { native } from './dist/core/native/index.js';
  const size = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').physical_space_size;
  const LOOK_MS = 300;
  let trims = 0;
  giveBackMemory({ trimMemory: () => { trims += 1; native.io.trimMemory(); } }, LOOK_MS);
  const kept = [];
  const end = performance.now() + 4 * LOOK_MS;
  while (size() < 6 << 20 || performance.now() < end) {
    for (let i = 0; i < 20_000; i++) { const made = { a: i, b: String(i), c: [i] }; if (i % 100 === 0) kept.push(made); }
    await turn();
  }
  const busy = { size: size(), trims };
  while (trims === 0) await pause(LOOK_MS);
  await pause(4 * LOOK_MS);
  console.log(JSON.stringify({ busy, after: size(), trims }));
`;

interface Told {
  readonly busy: { readonly size: number; readonly trims: number };
  readonly after: number;
  readonly trims: number;
}

it('makes the heap small once it is calm, and once only', { timeout: 60_000 }, async () => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { timeout: 50_000 });
  const { busy, after, trims } = JSON.parse(stdout) as Told;
  expect(busy.trims).toBe(0);
  expect(after).toBeLessThan(busy.size / 4);
  expect(trims).toBe(1);
});
