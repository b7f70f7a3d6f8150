/**
 * Removal of what a test run left behind. What outlives a process that was killed is a network namespace named
 * `ocv-<run>-<lab>-<role>`, with the processes that still run inside, and a folder `ocv-<run>-<lab>-…` for temporary files.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER = '/run/netns';

/** Beginning of the name of a lab's temporary folder; `run` is the pid of the test run. */
export function folderPrefix(run: string, lab: string): string {
  return join(tmpdir(), `ocv-${run}-${lab}-`);
}

/** Name of a namespace; `run` is the pid of the test run. */
export function namespaceName(run: string, lab: string, role: string): string {
  return `ocv-${run}-${lab}-${role}`;
}

/** Ends the processes in a namespace and removes it; no error if it is gone. */
export function removeNamespace(name: string): void {
  const pids = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  for (const line of (pids.stdout ?? '').split('\n')) {
    const pid = Number(line);
    if (pid > 1 && pid !== process.pid) killQuietly(pid);
  }
  spawnSync('ip', ['netns', 'delete', name]);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Entries of a folder that are ours, with the run that they belong to. */
function ours(folder: string): { name: string; run: string }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const found = /^ocv-(\d+)-/.exec(name);
    return found?.[1] ? [{ name, run: found[1] }] : [];
  });
}

function sweep(isOver: (run: string) => boolean): void {
  for (const { name, run } of ours(FOLDER)) if (isOver(run)) removeNamespace(name);
  for (const { name, run } of ours(tmpdir())) {
    if (isOver(run)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Removes what one run left. */
export function sweepRun(run: string): void {
  sweep((other) => other === run);
}

/** Removes what runs left whose process is gone. */
export function sweepStale(): void {
  sweep((run) => !existsSync(`/proc/${run}`));
}
