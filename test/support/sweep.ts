/**
 * Removal of what a test run left behind. Everything that outlives a process is a network namespace named
 * `ocv-<run>-<n>-<role>`; processes that still run inside one end with it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

const FOLDER = '/run/netns';

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

function ours(): { name: string; run: string }[] {
  if (!existsSync(FOLDER)) return [];
  return readdirSync(FOLDER).flatMap((name) => {
    const found = /^ocv-(\d+)-/.exec(name);
    return found?.[1] ? [{ name, run: found[1] }] : [];
  });
}

/** Removes the namespaces of one run. */
export function sweepRun(run: string): void {
  for (const found of ours()) if (found.run === run) removeNamespace(found.name);
}

/** Removes the namespaces of runs whose process is gone. */
export function sweepStale(): void {
  for (const found of ours()) if (!existsSync(`/proc/${found.run}`)) removeNamespace(found.name);
}
