/** What the figures were taken on: without it they mean nothing. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { run } from '../support/process.ts';
import type { BenchLab } from './network.ts';

export type Machine = Readonly<Record<string, string>>;

async function firstLine(command: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(command);
  return (stdout || stderr).split('\n', 1)[0] ?? '';
}

/** `ocserv`: the binary that is compared with. */
export async function describeMachine(lab: BenchLab, ocserv: string, meter: string): Promise<Machine> {
  const control = (await lab.inner.must(['sysctl', '-n', 'net.ipv4.tcp_congestion_control'])).trim();
  const [load = ''] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  return {
    kernel: release(),
    cores: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    'load average': load,
    'congestion control': control,
    measured: meter,
    node: `${process.version}, OpenSSL ${process.versions.openssl}`,
    ocserv: await firstLine([ocserv, '--version']),
    openconnect: await firstLine(['openconnect', '--version']),
    iperf3: await firstLine(['iperf3', '--version']),
  };
}
