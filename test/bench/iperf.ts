/** iperf3 between the client's machine and the host behind the server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, inside } from '../support/lab.ts';

export type Direction = 'up' | 'down';

export interface IperfRequest {
  /** Address of the host behind the server (its first one). */
  readonly to?: string;
  readonly direction: Direction;
  readonly seconds: number;
  /** Megabits per second; undefined: as fast as it goes. */
  readonly megabits?: number;
  /** Congestion control of TCP; not for datagrams. */
  readonly congestion?: string;
  /** Datagrams of this many bytes of payload instead of TCP. */
  readonly datagram?: number;
}

export interface IperfResult {
  /** Payload that arrived, bytes. */
  readonly bytes: number;
  /** As the receiver counts it, seconds. */
  readonly seconds: number;
  /** Datagrams that arrived; 0 for TCP. */
  readonly packets: number;
}

interface Sum {
  bytes: number;
  seconds: number;
  packets?: number;
  lost_packets?: number;
}

/** The server serves one client at a time, and takes a moment to see that the last one has gone. */
const BUSY = /the server is busy/;
const BUSY_RETRIES = 60;
const BUSY_PAUSE_MS = 500;

/** @throws Error with iperf's word */
export async function iperf(host: Host, request: IperfRequest): Promise<IperfResult> {
  const { to = inside.host4, direction, seconds, megabits, datagram, congestion } = request;
  const args = ['-c', to, '-J', '-t', `${seconds}`, '--connect-timeout', '5000'];
  if (direction === 'down') args.push('-R');
  if (megabits !== undefined) args.push('-b', `${megabits}M`);
  if (congestion !== undefined) args.push('-C', congestion);
  if (datagram !== undefined) args.push('-u', '-l', `${datagram}`);
  const { report, output } = await reportOf(host, args, seconds);
  const sum = datagram === undefined ? report.end?.sum_received : report.end?.sum;
  if (report.error || !sum) throw new Error(`iperf3 ${direction}: ${report.error ?? output}`);
  const packets = (sum.packets ?? 0) - (sum.lost_packets ?? 0);
  const bytes = datagram === undefined ? sum.bytes : packets * datagram;
  return { bytes, seconds: sum.seconds, packets };
}

interface Report {
  error?: string;
  end?: { sum?: Sum; sum_received?: Sum };
}

async function reportOf(host: Host, args: readonly string[], seconds: number) {
  for (let retries = BUSY_RETRIES; ; retries--) {
    const { stdout, stderr } = await host.run(['iperf3', ...args], { timeoutMs: (seconds + 30) * 1000 });
    const report = JSON.parse(stdout || '{}') as Report;
    if (retries === 0 || !BUSY.test(report.error ?? '')) return { report, output: stderr || stdout };
    await sleep(BUSY_PAUSE_MS);
  }
}

/** Round-trip times of pings to the host behind the server, milliseconds, ascending. */
export async function pingTimes(host: Host, seconds: number): Promise<number[]> {
  const args = ['-n', '-i', '0.02', '-w', `${seconds}`, inside.host4];
  const { stdout } = await host.run(['ping', ...args], { timeoutMs: (seconds + 10) * 1000 });
  const times = [...stdout.matchAll(/ time=([\d.]+) ms/g)].map(([, time]) => Number(time));
  if (times.length === 0) throw new Error(`no ping was answered: ${stdout}`);
  return times.sort((a, b) => a - b);
}
