/** Comparison with the thresholds of the repository: what a change must not make worse. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MetricName, metrics } from './metrics.ts';
import type { PeerName } from './peer-names.ts';
import type { Figure } from './report.ts';

/** Ratios, of ours / reference if nothing else is said. `warn` is the aim, `fail` what has been reached once and must stay. */
interface Threshold {
  readonly case: string;
  readonly metric: MetricName;
  readonly warn: number;
  readonly fail: number;
  /** Our own figure is judged instead of a ratio. */
  readonly own?: true;
  /** The other program of the ratio. */
  readonly against?: PeerName;
  /** Only in runs with at least so many clients. */
  readonly leastClients?: number;
}

const file = join(import.meta.dirname, 'thresholds.json');

export interface Verdict {
  readonly severity: 'warn' | 'fail';
  readonly text: string;
}

function judge(
  { case: name, metric, warn, fail, own, against }: Threshold,
  value: number,
): Verdict | undefined {
  const less = metrics[metric].better === 'less';
  const beyond = (limit: number): boolean => (less ? value > limit : value < limit);
  const [severity, limit] = beyond(fail) ? (['fail', fail] as const) : (['warn', warn] as const);
  if (!beyond(limit)) return undefined;
  const word = less ? 'at most' : 'at least';
  const what = own ? '' : `ratio ${against ? `to ${against} ` : ''}`;
  return { severity, text: `${name} ${metric}: ${what}${value.toFixed(2)}, wanted ${word} ${limit}` };
}

function judged({ own, against }: Threshold, { ours, ratio, peers }: Figure): number | undefined {
  if (own) return ours;
  if (against === undefined) return ratio;
  const other = peers[against];
  return ours === undefined || other === undefined ? undefined : ours / other;
}

/** What the thresholds object to, in a run with so many clients. Cases that were not measured are not judged. */
export function check(figures: readonly Figure[], clients: number): Verdict[] {
  const thresholds = JSON.parse(readFileSync(file, 'utf8')) as Threshold[];
  return thresholds.flatMap((threshold) => {
    const { case: name, metric, leastClients = 0 } = threshold;
    const figure = figures.find((one) => one.case === name && one.metric === metric);
    const value = figure && judged(threshold, figure);
    return value === undefined || clients < leastClients ? [] : (judge(threshold, value) ?? []);
  });
}
