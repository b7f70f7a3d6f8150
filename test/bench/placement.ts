/** Which cores the servers and everybody else may run on. */
import { readFileSync } from 'node:fs';
import { run } from '../support/process.ts';
import { processTree } from './usage.ts';

/** Numbers of a list as in Cpus_allowed_list of proc(5): `0-2,5`. */
export function coresOf(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function allowed(pid: number | 'self'): number[] {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return coresOf(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '');
}

/** Cores that this benchmark was given, before it divides them. */
const given = allowed('self');

async function confine(pids: readonly number[], cores: readonly number[]): Promise<void> {
  for (const pid of pids) {
    const { code, stderr } = await run(['taskset', '-a', '-p', '-c', cores.join(','), `${pid}`]);
    // It may have ended since it was listed.
    if (code !== 0 && processTree(pid).length > 0) throw new Error(`taskset: ${stderr.trim()}`);
  }
}

const tree = (pid: number): number[] => processTree(pid).map(({ pid: one }) => one);

/** Is there a core for the servers and another one for everything else? */
export const canDivide = (): boolean => given.length > 1;

/**
 * Gives the processes of each server the first core and this process with all that it started the others, or all cores to
 * all. Processes that they start later stay there.
 * @throws Error when there is one core only
 */
export async function divideCores(servers: readonly number[], divided: boolean): Promise<void> {
  const [first, ...others] = given;
  if (!divided) return await confine(tree(process.pid), given);
  if (first === undefined || others.length === 0) throw new Error('there is one core only');
  await confine(tree(process.pid), others);
  for (const server of servers) await confine(tree(server), [first]);
}
