/** What the cases measure: names, units, and which direction is better. */

export interface Metric {
  readonly label: string;
  readonly digits: number;
  readonly better: 'less' | 'more';
}

export const metrics = {
  mbit: { label: 'goodput, Mbit/s', digits: 0, better: 'more' },
  cpuPerGb: { label: 'server CPU, s/GB of goodput', digits: 2, better: 'less' },
  cpuPerTunnelGb: { label: 'server CPU, s/GB of tunnel bytes', digits: 2, better: 'less' },
  wirePerGoodput: { label: 'outer bytes per byte of goodput', digits: 3, better: 'less' },
  lostShare: { label: "datagrams lost in the receiver's buffer, %", digits: 2, better: 'less' },
  packetsPerCpu: { label: 'packets per CPU second', digits: 0, better: 'more' },
  arrivedShare: { label: 'packets that arrived, %', digits: 1, better: 'more' },
  pingP50: { label: 'ping p50, ms', digits: 3, better: 'less' },
  pingP99: { label: 'ping p99, ms', digits: 3, better: 'less' },
  loginsPerSecond: { label: 'logins per second', digits: 1, better: 'more' },
  cpuPerLogin: { label: 'server CPU per login, ms', digits: 2, better: 'less' },
  idleCpu: { label: 'CPU at rest, % of a core per 1,000', digits: 2, better: 'less' },
  statusMs: { label: 'status command, ms', digits: 0, better: 'less' },
  activeCpu: { label: 'CPU with a tenth active, % of a core per 1,000', digits: 2, better: 'less' },
  activeControlMs: { label: 'command that lists all meanwhile, ms', digits: 0, better: 'less' },
  activeStatusMs: { label: 'status command meanwhile, ms', digits: 0, better: 'less' },
  echoRate: { label: 'echo requests per second of the tenth', digits: 0, better: 'more' },
  echoShare: { label: 'echo requests answered, %', digits: 2, better: 'more' },
  dpdShare: { label: 'DPD requests answered, %', digits: 2, better: 'more' },
  controlMs: { label: 'control command that lists all, ms', digits: 0, better: 'less' },
  kbPerClient: { label: 'memory per client, KB', digits: 0, better: 'less' },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof metrics;
export type Measurement = Partial<Record<MetricName, number>>;
