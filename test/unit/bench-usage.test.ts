/** The meter of the benchmark, on a process that works and one that rests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { type Meter, meter, settled } from '../bench/usage.ts';
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

it('waits until a figure stays', async () => {
  const looks = [100, 200, 300, 300, 999];
  expect(await settled(() => looks.shift())).toBe(300);
  expect(await settled(() => undefined)).toBeUndefined();
});
