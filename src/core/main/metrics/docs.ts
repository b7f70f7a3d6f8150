/**
 * docs/metrics.md, from the catalogue. A test compares the file with this text;
 * `vitest run test/unit/metrics.test.ts -u` writes it anew.
 */
import { type LabelValues, type MetricSpec, metrics } from './catalogue.js';

const HEAD = `# Metrics

Generated from src/core/main/metrics/catalogue.ts; change the text there.

\`metrics-listen\` (vpn.conf(5)) is off by default. With \`127.0.0.1:9467\`, \`[::1]:9467\` or the path of a unix socket the main process
answers \`GET /metrics\` there, in the text format of Prometheus. There is no login: whoever can connect may read the figures, which name
virtual hosts and no users. A unix socket is for root and its group.

    scrape_configs:
      - job_name: ocvpn
        static_configs: [{ targets: ['127.0.0.1:9467'] }]

[metrics/alerts.yaml](metrics/alerts.yaml) has alert rules, [metrics/grafana.json](metrics/grafana.json) a dashboard; both expect the job
name \`ocvpn\`. A test keeps them in step with this table.

Counters begin at 0 with each main process. Tunnels that a main adopts from the one before go on from what they have carried by then. The number of
values of each label is bounded; a value beyond is called \`other\`. Workers report every 10 seconds, so bytes, packets and drops lag by as much.`;

const TAIL = `Beside these there are the usual figures of the process from prom-client: \`process_*\` (CPU, memory, descriptors) and \`nodejs_*\`, with
the event loop lag as \`nodejs_eventloop_lag_p50_seconds\` to \`nodejs_eventloop_lag_p99_seconds\`.`;

/** The page. */
export function metricsPage(): string {
  const rows = (Object.entries(metrics) as [string, MetricSpec][]).map(
    ([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${labelText(labels)} | ${help} |`,
  );
  const table = ['| metric | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n');
  return `${[HEAD, table, TAIL].join('\n\n')}\n`;
}

function labelText(labels: MetricSpec['labels']): string {
  const shown = ([name, values]: [string, LabelValues]): string =>
    typeof values === 'number' ? `${name} (at most ${values})` : `${name}: ${values.join(', ')}`;
  return Object.entries(labels).map(shown).join('; ') || '-';
}
