/** The command line of the benchmark. */
import { parseArgs } from 'node:util';
import { cases } from './cases.ts';
import type { Tuning } from './network.ts';
import { type PeerName, peerNames } from './peer-names.ts';

export interface BenchOptions extends Tuning {
  /** Names of the cases to run, in table order. */
  readonly cases: readonly string[];
  readonly rounds: number;
  /** Duration of one measurement, seconds. */
  readonly seconds: number;
  /** Clients of the cases that measure per client. */
  readonly clients: number;
  /** Binary to compare with. */
  readonly ocserv: string;
  /** Our server only, for crowds that the other would not hold on this machine: no ratios. */
  readonly alone: boolean;
  /** Other VPN programs that carry the bulk traffic beside the two servers. */
  readonly peers: readonly PeerName[];
  /** Options for our server beyond what both get. */
  readonly ours: Readonly<Record<string, string | number | boolean>>;
  /** Second server of the comparison: ours, or ocserv again to see the noise. */
  readonly against: 'ocvpn' | 'ocserv';
  /** Congestion control of the traffic inside. */
  readonly congestion: string;
  /** The batched cases on all cores, instead of one for the server and the rest for the others. */
  readonly allCores: boolean;
  readonly json: string | undefined;
  readonly check: boolean;
  readonly verbose: boolean;
}

export const usage = `npm run bench -- [options]

  --case NAME …       only these cases (default: those marked *)
  --rounds N          alternating rounds, the median counts (2)
  --seconds N         duration of one measurement (5)
  --clients N         clients of the cases with many clients, some of which take more (20)
  --alone             our server only: figures without ratios
  --peers             also wireguard-go and openvpn, in the cases batched-dtls-down/up
  --ocserv PATH       binary to compare with (ocserv)
  --set NAME=VALUE …  option for our server only, e.g. worker-clients=64
  --noise             compare ocserv with itself: what the machine's noise does to the ratios
  --congestion NAME   congestion control of the traffic inside (cubic, as most hosts have)
  --software-uso      segment the server's UDP in software, as on a NIC without UDP segmentation
  --bundled-udp       let the server's inner network card bundle UDP packets that it forwards, as vpn doctor hints at
  --all-cores         the batched cases too on all cores, instead of one for the server and the others for the rest
  --json FILE         write the raw results (- for standard output)
  --check             compare with thresholds.json; exit status 1 if one fails
  --verbose           show the output of servers and clients when something fails

Cases:
${cases.map((one) => `  ${one.byDefault ? '*' : ' '} ${one.name.padEnd(20)}${one.about}`).join('\n')}
`;

function whole(name: string, text: string, least = 1): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new Error(`--${name} ${text}: give a whole number of at least ${least}`);
  return value;
}

function optionValue(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^\d+$/.test(text) ? Number(text) : text;
}

function pairs(settings: readonly string[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    settings.map((setting) => {
      const [name = '', value] = setting.split(/=(.*)/s, 2);
      if (value === undefined) throw new Error(`--set ${setting}: give NAME=VALUE`);
      return [name, optionValue(value)];
    }),
  );
}

function selected(names: readonly string[]): string[] {
  for (const name of names) {
    if (!cases.some((one) => one.name === name)) throw new Error(`no case ${name}: see --help`);
  }
  return cases
    .filter((one) => (names.length > 0 ? names.includes(one.name) : one.byDefault))
    .map((one) => one.name);
}

/**
 * Reads the command line; undefined when only help was asked for.
 * @throws Error that says which argument is wrong
 */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      case: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string', default: '2' },
      seconds: { type: 'string', default: '5' },
      clients: { type: 'string', default: '20' },
      alone: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: false },
      ocserv: { type: 'string', default: 'ocserv' },
      set: { type: 'string', multiple: true, default: [] },
      noise: { type: 'boolean', default: false },
      congestion: { type: 'string', default: 'cubic' },
      'software-uso': { type: 'boolean', default: false },
      'bundled-udp': { type: 'boolean', default: false },
      'all-cores': { type: 'boolean', default: false },
      json: { type: 'string' },
      check: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    // `--case a b c`: the words after the first are positionals.
    cases: selected([...values.case, ...positionals]),
    rounds: whole('rounds', values.rounds),
    seconds: whole('seconds', values.seconds),
    clients: whole('clients', values.clients),
    alone: values.alone,
    peers: values.peers ? peerNames : [],
    ocserv: values.ocserv,
    ours: pairs(values.set),
    against: values.noise ? 'ocserv' : 'ocvpn',
    congestion: values.congestion,
    softwareSegmentation: values['software-uso'],
    bundledUdp: values['bundled-udp'],
    allCores: values['all-cores'],
    json: values.json,
    check: values.check,
    verbose: values.verbose,
  };
}
