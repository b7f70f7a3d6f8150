/** The result as a table for people. */
import { cases } from './cases.ts';
import { type Measured, type MetricName, metricOf, metrics } from './metrics.ts';
import { type PeerName, peerNames } from './peer-names.ts';
import { median } from './statistics.ts';

/** One case against one server in one round. */
export interface Sample {
  readonly case: string;
  readonly server: 'reference' | 'ours' | PeerName;
  readonly round: number;
  readonly measured: Measured;
}

/** One figure of one case: medians over the rounds. */
export interface Figure {
  readonly case: string;
  readonly metric: MetricName;
  readonly reference: number | undefined;
  readonly ours: number | undefined;
  /** Median of the rounds' ratios ours / reference: within a round both met the same load of the machine. */
  readonly ratio: number | undefined;
  /** Medians of the other programs that took part. */
  readonly peers: Partial<Record<PeerName, number>>;
}

function values(samples: readonly Sample[], metric: MetricName): Map<number, number> {
  return new Map(
    samples.flatMap(({ round, measured }) => {
      const value = measured[metric];
      return value === undefined ? [] : [[round, value] as const];
    }),
  );
}

function figure(name: string, metric: MetricName, samples: readonly Sample[]): Figure | undefined {
  const of = (server: Sample['server']): Map<number, number> =>
    values(
      samples.filter((sample) => sample.server === server),
      metric,
    );
  const reference = of('reference');
  const ours = of('ours');
  if (reference.size === 0 && ours.size === 0) return undefined;
  const { floor = 0 } = metricOf(metric);
  const ratios = [...ours].flatMap(([round, value]) => {
    const other = Math.max(floor, reference.get(round) ?? Number.NaN);
    return other > 0 ? [Math.max(floor, value) / other] : [];
  });
  const middle = (found: Map<number, number>): number | undefined =>
    found.size > 0 ? median([...found.values()]) : undefined;
  return {
    case: name,
    metric,
    reference: middle(reference),
    ours: middle(ours),
    ratio: ratios.length > 0 ? median(ratios) : undefined,
    peers: Object.fromEntries(
      peerNames.flatMap((peer) => {
        const value = middle(of(peer));
        return value === undefined ? [] : [[peer, value]];
      }),
    ),
  };
}

/** Medians of all cases that were measured, in table order. */
export function summarize(samples: readonly Sample[]): Figure[] {
  return cases.flatMap(({ name }) => {
    const own = samples.filter((sample) => sample.case === name);
    return (Object.keys(metrics) as MetricName[]).flatMap((metric) => figure(name, metric, own) ?? []);
  });
}

function cell(value: number | undefined, digits: number): string {
  return value === undefined ? '-' : value.toFixed(digits);
}

/** `names`: the servers' titles; `details`: figures that explain others, too. */
export function table(
  all: readonly Figure[],
  names: { reference: string; ours: string },
  details = false,
): string {
  const figures = all.filter(({ metric }) => details || !metricOf(metric).detail);
  const shown = peerNames.filter((peer) => figures.some(({ peers }) => peers[peer] !== undefined));
  const rows = [['case', 'measured', names.reference, names.ours, 'ratio', ...shown]];
  let last = '';
  for (const { case: name, metric, reference, ours, ratio, peers } of figures) {
    const { label, digits, better } = metrics[metric];
    const arrow = better === 'less' ? '↓' : '↑';
    const first = name === last ? '' : name;
    const others = shown.map((peer) => cell(peers[peer], digits));
    rows.push([
      first,
      `${label} ${arrow}`,
      cell(reference, digits),
      cell(ours, digits),
      cell(ratio, 2),
      ...others,
    ]);
    last = name;
  }
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const pad = (text: string, column: number): string =>
    column < 2 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}
