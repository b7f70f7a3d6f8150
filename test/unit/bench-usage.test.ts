/** The meter of the benchmark, on a process that works and one that rests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { canDivide, coresOf, divideCores } from '../bench/placement.ts';
import { type Meter, meter, processTree, settled } from '../bench/usage.ts';
import { until } from '../support/wait.ts';

interface Measured {
  readonly gauge: Meter;
  /** Lets the script run. */
  go(): void;
  /** Ends the shell and the meter. */
  end(): Promise<void>;
}

/** A shell that runs `script` after a line on its standard input, and ends after another. */
async function measured(script: string): Promise<Measured> {
  const command = `read -r go; ${script}; read -r end`;
  const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'ignore', 'ignore'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await once(child, 'spawn');
  const gauge = meter(child.pid ?? 0);
  const exited = once(child, 'exit');
  return {
    gauge,
    go: () => child.stdin.write('go\n'),
    end: async () => {
      child.stdin.end();
      await exited;
      await gauge.close();
    },
  };
}

it('counts what a child used that has ended', async () => {
  const { gauge, go, end } = await measured("sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'");
  const before = gauge.cpuSeconds();
  go();
  await until('the child to have worked', () => gauge.cpuSeconds() - before > 0.02);
  await end();
});

it('counts next to nothing for a process that rests', async () => {
  const { gauge, go, end } = await measured(':');
  const before = gauge.cpuSeconds();
  go();
  expect(await settled(() => 1 + gauge.cpuSeconds() - before)).toBeLessThan(1.02);
  await end();
});

it('tells by role what secmod and the workers used', async () => {
  const work = 'i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done; read -r end';
  const roles = ['secmod', 'worker', 'other'].map((role) => `sh -c '${work}' vpn ${role} --fd 3 <&3 &`);
  const { gauge, go, end } = await measured(`exec 3<&0; ${roles.join(' ')} wait`);
  expect(gauge.roleSeconds()).toMatchObject({ secmod: 0, workers: 0 });
  go();
  await until('all three to have worked', () => {
    const { main, secmod, workers } = gauge.roleSeconds();
    const others = gauge.cpuSeconds() - main - secmod - workers;
    return [secmod, workers, others].every((seconds) => seconds > 0.01);
  });
  await end();
});

it('removes the groups of a run that was killed', async () => {
  const killed = spawn('true');
  await once(killed, 'exit');
  const { gauge, end } = await measured(':');
  const [group] = gauge.groups;
  await end();
  if (group === undefined) return expect(gauge.kind).toBe('/proc/PID/stat');
  const stale = join(dirname(group), `ocvpn-bench-${killed.pid}-1`);
  mkdirSync(stale);
  const { end: endOther } = await measured(':');
  expect(existsSync(stale)).toBe(false);
  await endOther();
});

it('waits until a figure stays', async () => {
  const looks = [100, 200, 300, 300, 999];
  expect(await settled(() => looks.shift())).toBe(300);
  expect(await settled(() => undefined)).toBeUndefined();
});

describe('cores', () => {
  const allowed = (pid: number): number[] =>
    coresOf(/^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '');

  it('reads lists of them', () => {
    expect(coresOf('0-2,5')).toEqual([0, 1, 2, 5]);
    expect(coresOf('3')).toEqual([3]);
  });

  it.runIf(canDivide())('are divided between a server with its children and everybody else', async () => {
    const server = spawn('sh', ['-c', 'exec 3<&0; cat <&3 & wait'], { stdio: ['pipe', 'ignore', 'ignore'] });
    onTestFinished(() => {
      server.kill('SIGKILL');
    });
    await once(server, 'spawn');
    const pid = server.pid ?? 0;
    const { pid: child } = await until('its child', () => processTree(pid)[1]);
    const before = allowed(process.pid);
    try {
      await divideCores([pid], true);
      expect([allowed(pid), allowed(child)]).toEqual([[before[0]], [before[0]]]);
      expect(allowed(process.pid)).toEqual(before.slice(1));
    } finally {
      await divideCores([pid], false);
    }
    expect([pid, child, process.pid].map(allowed)).toEqual([before, before, before]);
  });
});
