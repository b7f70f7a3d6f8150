/**
 * What a server uses: CPU time and memory of all its processes. A control group tells both exactly and counts processes
 * that have ended; where none can be made, CPU time comes from /proc and memory is not told.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../support/wait.ts';

const ROOT = '/sys/fs/cgroup';
/** clock ticks per second of /proc/PID/stat: USER_HZ, 100 on every architecture that Linux runs Node on. */
const TICKS = 100;

/** User and system time of processes that serve many clients. Seconds. */
export interface RoleSeconds {
  readonly main: number;
  readonly secmod: number;
  /** Those that do several clients' logins. */
  readonly workers: number;
}

export interface Meter {
  /** How it measures, for the report. */
  readonly kind: string;
  /** Folders of its control groups. */
  readonly groups: readonly string[];
  /** User and system time so far, seconds. */
  cpuSeconds(): number;
  /** The same by role, of those that live; what is missing of the whole are processes of one client each. */
  roleSeconds(): RoleSeconds;
  /** Memory charged now, kernel memory included, page cache not. Bytes; undefined: not known. */
  memoryBytes(): number | undefined;
  /** After the processes have ended. */
  close(): Promise<void>;
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** User and system time, also of children that have been waited for. Seconds. */
  readonly cpu: number;
  /** That of those children alone. */
  readonly childrenCpu: number;
}

function readProcess(pid: number): Process | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // it has ended
  }
  // The name in parentheses may hold anything; fields count from the state, which is number 3 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const seconds = (...numbers: readonly number[]): number =>
    numbers.reduce((sum, number) => sum + Number(fields[number - 3]), 0) / TICKS;
  return {
    pid,
    parent: Number(fields[1]),
    cpu: seconds(14, 15, 16, 17),
    childrenCpu: seconds(16, 17),
  };
}

/** User and system time of the commands that this process has run to their end. Seconds. */
export const commandSeconds = (): number => readProcess(process.pid)?.childrenCpu ?? Number.NaN;

/** A process and all its descendants that live now. */
export function processTree(root: number): Process[] {
  const all = readdirSync('/proc').flatMap((name) =>
    /^\d+$/.test(name) ? (readProcess(Number(name)) ?? []) : [],
  );
  const tree = all.filter(({ pid }) => pid === root);
  for (const parent of tree) tree.push(...all.filter((one) => one.parent === parent.pid));
  return tree;
}

/** How a process is called, and its command line; empty for one that has ended. */
function titleOf(pid: number): string {
  try {
    return ['comm', 'cmdline'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1')).join('\0');
  } catch {
    return '';
  }
}

function roleSeconds(root: number): RoleSeconds {
  const seconds = { main: 0, secmod: 0, workers: 0 };
  for (const { pid, cpu } of processTree(root)) {
    const title = titleOf(pid);
    if (pid === root) seconds.main += cpu;
    else if (/\0secmod\0|ocserv-sm/.test(title)) seconds.secmod += cpu;
    // A session's process keeps the command line of the worker that it was forked from.
    else if (/\0worker\0/.test(title) && !title.startsWith('ocvpn-session')) seconds.workers += cpu;
  }
  return seconds;
}

const number = (path: string): number => Number(readFileSync(path, 'utf8'));

/** A line `name value` of a statistics file. */
function entry(path: string, name: string): number {
  const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(readFileSync(path, 'utf8'));
  if (!found) throw new Error(`${path} has no ${name}`);
  return Number(found[1]);
}

/** Moves a process tree into groups; processes forked meanwhile are found in the next pass. */
function adopt(root: number, groups: readonly string[]): void {
  const moved = new Set<number>();
  for (let found = true; found; ) {
    found = false;
    for (const { pid } of processTree(root)) {
      if (moved.has(pid)) continue;
      for (const group of groups) writeFileSync(join(group, 'cgroup.procs'), `${pid}`);
      moved.add(pid);
      found = true;
    }
  }
}

let meters = 0;

/** Removes the groups of runs that were killed. One whose processes live on stays, and is measured by nobody. */
function sweepGroups(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, run] = /^ocvpn-bench-(\d+)-/.exec(name) ?? [];
    if (run === undefined || existsSync(`/proc/${run}`)) continue;
    try {
      rmdirSync(join(folder, name));
    } catch (error) {
      // It has processes yet, or another run was quicker.
      if (!['EBUSY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}

function makeGroups(folders: readonly string[]): string[] {
  const made: string[] = [];
  meters += 1;
  for (const folder of folders) {
    sweepGroups(folder);
    const group = join(folder, `ocvpn-bench-${process.pid}-${meters}`);
    mkdirSync(group, { recursive: true });
    made.push(group);
  }
  return made;
}

/** Thousands of tun devices take the kernel a while. */
const END_LIMIT_MS = 180_000;

/** A group is busy until its last process has been waited for. */
async function removeGroups(groups: readonly string[]): Promise<void> {
  for (const group of groups) {
    const empty = (): boolean => {
      rmdirSync(group);
      return true;
    };
    await until(`${group} to be empty`, empty, { timeoutMs: END_LIMIT_MS });
  }
}

function unifiedMeter(root: number): Meter {
  const groups = makeGroups([ROOT]);
  const [group = ''] = groups;
  adopt(root, groups);
  const memory = existsSync(join(group, 'memory.current'));
  return {
    kind: 'control group v2',
    groups,
    cpuSeconds: () => entry(join(group, 'cpu.stat'), 'usage_usec') / 1e6,
    roleSeconds: () => roleSeconds(root),
    memoryBytes: () =>
      memory ? number(join(group, 'memory.current')) - entry(join(group, 'memory.stat'), 'file') : undefined,
    close: () => removeGroups(groups),
  };
}

function legacyMeter(root: number): Meter {
  const groups = makeGroups([join(ROOT, 'cpuacct'), join(ROOT, 'memory')]);
  const [cpu = '', memory = ''] = groups;
  adopt(root, groups);
  return {
    kind: 'control groups v1',
    groups,
    cpuSeconds: () => number(join(cpu, 'cpuacct.usage')) / 1e9,
    roleSeconds: () => roleSeconds(root),
    memoryBytes: () =>
      number(join(memory, 'memory.usage_in_bytes')) - entry(join(memory, 'memory.stat'), 'total_cache'),
    close: () => removeGroups(groups),
  };
}

function procMeter(root: number): Meter {
  return {
    kind: '/proc/PID/stat',
    groups: [],
    cpuSeconds: () => processTree(root).reduce((sum, { cpu }) => sum + cpu, 0),
    roleSeconds: () => roleSeconds(root),
    memoryBytes: () => undefined,
    close: async () => undefined,
  };
}

/** Measures a process, those it has started and will start. */
export function meter(root: number): Meter {
  const makers = [
    ...(existsSync(join(ROOT, 'cgroup.controllers')) ? [unifiedMeter] : []),
    ...(existsSync(join(ROOT, 'cpuacct')) && existsSync(join(ROOT, 'memory')) ? [legacyMeter] : []),
  ];
  for (const make of makers) {
    try {
      return make(root);
    } catch (error) {
      console.error(`bench: no control group (${(error as Error).message}); CPU time comes from /proc.`);
    }
  }
  return procMeter(root);
}

/** Looks at a figure until two looks in a row differ by less than 0.5 %, 5 s at most; the last one. */
export async function settled(look: () => number | undefined): Promise<number | undefined> {
  const end = performance.now() + 5_000;
  let last = look();
  for (;;) {
    await pause(250);
    const now = look();
    if (last === undefined || now === undefined) return now;
    if (Math.abs(now - last) < 0.005 * last || performance.now() > end) return now;
    last = now;
  }
}
