/** Comparison with the thresholds of the repository: what a change must not make worse. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MetricName, metrics } from './metrics.ts';
import type { Figure } from './report.ts';

/** Ratios ours / reference. `warn` is the aim, `fail` what has been reached once and must stay. */
interface Threshold {
  readonly case: string;
  readonly metric: MetricName;
  readonly warn: number;
  readonly fail: number;
}

const file = join(import.meta.dirname, 'thresholds.json');

export interface Verdict {
  readonly severity: 'warn' | 'fail';
  readonly text: string;
}

function judge({ case: name, metric, warn, fail }: Threshold, ratio: number): Verdict | undefined {
  const less = metrics[metric].better === 'less';
  const beyond = (limit: number): boolean => (less ? ratio > limit : ratio < limit);
  const [severity, limit] = beyond(fail) ? (['fail', fail] as const) : (['warn', warn] as const);
  if (!beyond(limit)) return undefined;
  const word = less ? 'at most' : 'at least';
  return { severity, text: `${name} ${metric}: ratio ${ratio.toFixed(2)}, wanted ${word} ${limit}` };
}

/** What the thresholds object to. Cases that were not measured are not judged. */
export function check(figures: readonly Figure[]): Verdict[] {
  const thresholds = JSON.parse(readFileSync(file, 'utf8')) as Threshold[];
  return thresholds.flatMap((threshold) => {
    const ratio = figures.find(
      (one) => one.case === threshold.case && one.metric === threshold.metric,
    )?.ratio;
    return ratio === undefined ? [] : (judge(threshold, ratio) ?? []);
  });
}
