/** Option metrics-listen: from the parts of main to what Prometheus reads. */
import type { Logger } from '../../log.js';
import { CertificateDates } from '../certificate-dates.js';
import type { RunningConfig } from '../running-config.js';
import { MetricsEndpoint } from './endpoint.js';
import { collectFrom, type MetricsSources } from './sources.js';

/** null: it is off. @throws VpnError OCS_METRICS */
export async function serveMetrics(
  running: RunningConfig,
  log: Logger,
  parts: Omit<MetricsSources, 'certificates'>,
): Promise<MetricsEndpoint | null> {
  const address = running.main['metrics-listen'];
  if (address === '') return null;
  const { metrics } = parts.stats;
  collectFrom(metrics, { ...parts, certificates: new CertificateDates(() => running.current) });
  return MetricsEndpoint.open(address, metrics, log);
}
