/** What the figures were taken on: without it they mean nothing. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { run } from '../support/process.ts';
import type { BenchOptions } from './options.ts';

export type Machine = Readonly<Record<string, string>>;

async function firstLine(command: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(command);
  return (stdout || stderr).split('\n', 1)[0] ?? '';
}

/** `meter`: how the servers are measured. */
export async function describeMachine({ ocserv, congestion }: BenchOptions, meter: string): Promise<Machine> {
  const [load = ''] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  return {
    kernel: release(),
    cores: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    'load average': load,
    'congestion control': congestion,
    measured: meter,
    node: `${process.version}, OpenSSL ${process.versions.openssl}`,
    ocserv: await firstLine([ocserv, '--version']),
    openconnect: await firstLine(['openconnect', '--version']),
    iperf3: await firstLine(['iperf3', '--version']),
  };
}
