import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { folderPrefix, namespaceName, removeNamespace, sweepRun, sweepStale } from '../../support/sweep.ts';

/** No process has it: above the kernel's highest pid (PID_MAX_LIMIT, 2^22). */
const DEAD = String(4_194_305 + process.pid);
const ALIVE = String(process.pid);
const lab = 'sweep';

function leave(run: string): { namespace: string; folder: string } {
  const namespace = namespaceName(run, lab, 'x');
  execFileSync('ip', ['netns', 'add', namespace]);
  return { namespace, folder: mkdtempSync(folderPrefix(run, lab)) };
}
const left = (namespace: string): boolean => existsSync(`/run/netns/${namespace}`);

afterEach(() => {
  for (const run of [DEAD, ALIVE]) removeNamespace(namespaceName(run, lab, 'x'));
});

test('what a dead run left is removed with its processes, what a living one uses is not', async () => {
  const dead = leave(DEAD);
  const alive = leave(ALIVE);
  const inside = spawn('ip', ['netns', 'exec', dead.namespace, 'sleep', 'infinity']);
  const gone = once(inside, 'exit');
  await once(inside, 'spawn');
  while (execFileSync('ip', ['netns', 'pids', dead.namespace], { encoding: 'utf8' }) === '') {
    // ip has not entered the namespace yet.
  }
  sweepStale();
  expect((await gone)[1]).toBe('SIGKILL');
  expect([left(dead.namespace), existsSync(dead.folder)]).toEqual([false, false]);
  expect([left(alive.namespace), existsSync(alive.folder)]).toEqual([true, true]);
  rmSync(alive.folder, { recursive: true });
});

test('a run removes its own, nobody else’s', () => {
  const mine = leave(DEAD);
  const other = leave(ALIVE);
  sweepRun(DEAD);
  expect([left(mine.namespace), existsSync(mine.folder)]).toEqual([false, false]);
  expect([left(other.namespace), existsSync(other.folder)]).toEqual([true, true]);
  rmSync(other.folder, { recursive: true });
});
