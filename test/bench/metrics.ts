/** What the cases measure: names, units, and which direction is better. */

export interface Metric {
  readonly label: string;
  readonly digits: number;
  readonly better: 'less' | 'more';
  /** Ratios are of what is above it at the least: two figures below it do not differ. */
  readonly floor?: number;
  /** In the table only with --verbose. */
  readonly detail?: true;
}

/**
 * Percent. A receiver's buffer refuses datagrams in bursts; one burst of 44 in three seconds at 200 Mbit/s is 0.08, and
 * whether there is one or none is chance.
 */
const ONE_BURST = 0.1;

export const metrics = {
  mbit: { label: 'goodput, Mbit/s', digits: 0, better: 'more' },
  cpuPerGb: { label: 'server CPU, s/GB of goodput', digits: 2, better: 'less' },
  cpuPerTunnelGb: { label: 'server CPU, s/GB of tunnel bytes', digits: 2, better: 'less' },
  wirePerGoodput: { label: 'outer bytes per byte of goodput', digits: 3, better: 'less' },
  lostShare: {
    label: "datagrams lost in the receiver's buffer, %",
    digits: 2,
    better: 'less',
    floor: ONE_BURST,
  },
  packetsPerCpu: { label: 'packets per CPU second', digits: 0, better: 'more' },
  arrivedShare: { label: 'packets that arrived, %', digits: 1, better: 'more' },
  pingP50: { label: 'ping p50, ms', digits: 3, better: 'less' },
  pingP99: { label: 'ping p99, ms', digits: 3, better: 'less' },
  loginsPerSecond: { label: 'logins per second', digits: 1, better: 'more' },
  cpuPerLogin: { label: 'server CPU per login, ms', digits: 2, better: 'less' },
  cpuPerFirstLogin: { label: 'server CPU per login, cold, ms', digits: 2, better: 'less' },
  mainCpuPerLogin: { label: '  main, ms', digits: 2, better: 'less', detail: true },
  secmodCpuPerLogin: { label: '  secmod, ms', digits: 2, better: 'less', detail: true },
  workerCpuPerLogin: { label: '  workers of several clients, ms', digits: 2, better: 'less', detail: true },
  clientCpuPerLogin: { label: "  the client's own process, ms", digits: 2, better: 'less', detail: true },
  idleCpu: { label: 'CPU at rest, % of a core per 1,000', digits: 2, better: 'less' },
  controlCpu: { label: 'CPU of the command that lists all, ms', digits: 0, better: 'less' },
  statusCpu: { label: 'CPU of the status command, ms', digits: 0, better: 'less' },
  statusMs: { label: 'status command, ms', digits: 0, better: 'less' },
  activeCpu: { label: 'CPU with a tenth active, % of a core per 1,000', digits: 2, better: 'less' },
  activeControlMs: { label: 'command that lists all meanwhile, ms', digits: 0, better: 'less' },
  activeStatusMs: { label: 'status command meanwhile, ms', digits: 0, better: 'less' },
  echoRate: { label: 'echo requests per second of the tenth', digits: 0, better: 'more' },
  echoShare: { label: 'echo requests answered, %', digits: 2, better: 'more' },
  dpdShare: { label: 'DPD requests answered, %', digits: 2, better: 'more' },
  controlMs: { label: 'control command that lists all, ms', digits: 0, better: 'less' },
  loginGrowth: { label: 'CPU per login, largest / smallest crowd', digits: 2, better: 'less' },
  restGrowth: { label: 'CPU per client at rest, largest / smallest crowd', digits: 2, better: 'less' },
  packetGrowth: { label: 'CPU per packet, largest / smallest crowd', digits: 2, better: 'less' },
  kbPerClient: { label: 'memory per client, KB', digits: 0, better: 'less' },
} as const satisfies Record<string, Metric>;

/** Of a metric; `metrics` itself knows only what each entry has. */
export const metricOf = (name: MetricName): Metric => metrics[name];

export type MetricName = keyof typeof metrics;
export type Measurement = Partial<Record<MetricName, number>>;

/** A measurement, and those with fewer clients that it was made of. */
export interface Measured extends Measurement {
  readonly steps?: readonly Step[];
}

/** What was measured while so many clients were connected. */
export interface Step extends Measurement {
  readonly clients: number;
}
