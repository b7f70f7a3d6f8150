/** What a server holds at this moment, to be compared with what it held before: a leak is what only grows. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Lab } from './lab.ts';
import { statusOf } from './ocvpn.ts';
import { must } from './process.ts';
import { until } from './wait.ts';

/** So many looks in a row find the same. */
const SETTLED_LOOKS = 3;

export interface Census {
  readonly processes: number;
  /** Descriptors of all processes. */
  readonly descriptors: number;
  /** Those of main and secmod, which no connect may leave any in. */
  readonly central: number;
  readonly devices: number;
  /** Addresses of tunnels. */
  readonly addresses: number;
  readonly tables: number;
  /** Sessions that secmod keeps. */
  readonly cookies: number;
  readonly connections: number;
  /** Private memory of all processes, kB. */
  readonly memoryKb: number;
}

/** Processes of the server's machine: main, secmod, workers, sessions, and what the test has started there. */
export const pidsOf = async (lab: Lab): Promise<number[]> =>
  (await must(['ip', 'netns', 'pids', lab.server.namespace])).split('\n').filter(Boolean).map(Number);

const privateKb = (pid: number): number =>
  [...readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce(
    (sum, [, size]) => sum + Number(size),
    0,
  );

const lines = (text: string): number => text.split('\n').filter(Boolean).length;

/** The counts, without what changes by itself. */
const countsOf = ({ memoryKb, ...counts }: Census): string => JSON.stringify(counts);

/** Counts when nothing changes any more: after sessions ended, spare workers take their places for a moment. */
export async function takeCensus(lab: Lab): Promise<Census> {
  let last = '';
  let same = 0;
  const settled = async (): Promise<Census | false> => {
    const now = await countAll(lab);
    same = countsOf(now) === last ? same + 1 : 0;
    last = countsOf(now);
    return same === SETTLED_LOOKS && now;
  };
  return await until('the server to settle', settled, { timeoutMs: 60_000, everyMs: 500 });
}

async function countAll(lab: Lab): Promise<Census> {
  const { secmodEntries, connections, pid, secmodPid } = await statusOf(lab);
  const pids = await pidsOf(lab);
  const sum = (of: (pid: number) => number, among = pids): number => among.map(of).reduce((a, b) => a + b, 0);
  const opened = (each: number): number => readdirSync(`/proc/${each}/fd`).length;
  return {
    processes: pids.length,
    descriptors: sum(opened),
    central: sum(opened, [pid, secmodPid ?? pid]),
    devices: lines(await lab.server.must(['sh', '-c', 'ip -o link | grep vpns || true'])),
    addresses: lines(await lab.server.must(['sh', '-c', 'ip -o addr | grep vpns || true'])),
    tables: lines(await lab.server.must(['nft', 'list', 'tables'])),
    cookies: secmodEntries,
    connections,
    memoryKb: sum(privateKb),
  };
}

/** A rush leaves workers behind that stay warm for half a minute, each with the process that forks its sessions. */
const WARM_PROCESSES = 4;
/** What each of them may have: without one there may be nothing that was not there before. */
const OF_ONE_WARM = { descriptors: 30, central: 4, memoryKb: 32 * 1024 };

function allowedBeside(extraProcesses: number, growthKb: number): Partial<Census> {
  const warm = Math.max(0, extraProcesses);
  return {
    processes: WARM_PROCESSES,
    descriptors: warm * OF_ONE_WARM.descriptors,
    central: warm * OF_ONE_WARM.central,
    memoryKb: growthKb + warm * OF_ONE_WARM.memoryKb,
  };
}

/** Waits until everything is given back that was not there before; memory may have grown by so many kB. */
export async function expectNoLeak(lab: Lab, before: Census, growthKb: number): Promise<Census> {
  let now = before;
  const grown = async (): Promise<string[]> => {
    now = await takeCensus(lab);
    const allowed = allowedBeside(now.processes - before.processes, growthKb);
    return (Object.keys(before) as (keyof Census)[]).filter(
      (name) => now[name] - before[name] > (allowed[name] ?? 0),
    );
  };
  const back = async (): Promise<boolean> => (await grown()).length === 0;
  await until('all to be given back', back, { timeoutMs: 60_000 }).catch(async () => {
    expect(await grown(), `before ${JSON.stringify(before)}, now ${JSON.stringify(now)}`).toEqual([]);
  });
  return now;
}
