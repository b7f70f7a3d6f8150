/**
 * `npm run bench:charts`: draws docs/performance/*.svg from the raw results beside them. One chart for each file of
 * results, over the number of clients if it was measured with several; files named scale-N.json together make one, when there
 * are at least two.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { type MetricName, metrics, type Step } from './metrics.ts';
import type { BenchOptions } from './options.ts';
import type { Sample } from './report.ts';
import { median } from './statistics.ts';

const folder = join(import.meta.dirname, '../../docs/performance');
/** Figures that say much on a chart; the others are in the tables. */
const DRAWN: readonly MetricName[] = [
  'mbit',
  'cpuPerGb',
  'packetsPerCpu',
  'pingP50',
  'pingP99',
  'loginsPerSecond',
  'cpuPerLogin',
  'idleCpu',
  'controlMs',
  'kbPerClient',
];
const SERVER_NAMES: Record<Sample['server'], string> = {
  reference: 'ocserv',
  ours: 'ocvpn',
  'wireguard-go': 'wireguard-go',
  openvpn: 'openvpn',
};

interface Results {
  readonly options: BenchOptions;
  readonly samples: readonly Sample[];
}

interface Point {
  readonly case: string;
  readonly server: string;
  readonly measured: string;
  readonly clients: number;
  readonly value: number;
}

/** Medians over the rounds, one for each case, server and drawn metric. */
function points({ options, samples }: Results): Point[] {
  const groups = Map.groupBy(samples, (sample) => `${sample.case} ${sample.server}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    // What was measured in steps is drawn step by step.
    const measured = group.flatMap(
      ({ measured: { steps, ...whole } }): readonly Step[] =>
        steps ?? [{ ...whole, clients: options.clients }],
    );
    return [...Map.groupBy(measured, ({ clients }) => clients)].flatMap(([clients, rows]) =>
      DRAWN.flatMap((name) => {
        const values = rows.flatMap((row) => row[name] ?? []);
        if (values.length === 0) return [];
        const { label, better } = metrics[name];
        return {
          case: first.case,
          server: SERVER_NAMES[first.server],
          measured: `${label} (${better} is better)`,
          clients,
          value: median(values),
        };
      }),
    );
  });
}

const BASE = { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', background: 'white' } as const;
/** A server has one color in all charts; the legend has those that were measured. */
const color = (values: readonly Point[]) =>
  ({
    field: 'server',
    type: 'nominal',
    title: null,
    scale: { domain: Object.values(SERVER_NAMES), scheme: 'tableau10' },
    legend: { values: [...new Set(values.map(({ server }) => server))] },
  }) as const;
const FACET = { field: 'measured', type: 'nominal', title: null, header: { labelFontSize: 12 } } as const;

function bars(values: Point[]): TopLevelSpec {
  return {
    ...BASE,
    data: { values },
    facet: FACET,
    columns: 1,
    spec: {
      width: 560,
      height: { step: 12 },
      mark: 'bar',
      encoding: {
        y: { field: 'case', type: 'nominal', title: null, sort: null },
        yOffset: { field: 'server', sort: Object.values(SERVER_NAMES) },
        x: { field: 'value', type: 'quantitative', title: null },
        color: color(values),
      },
    },
    resolve: { scale: { x: 'independent', y: 'independent' } },
  };
}

function lines(values: Point[]): TopLevelSpec {
  return {
    ...BASE,
    data: { values },
    facet: FACET,
    columns: 2,
    spec: {
      width: 300,
      height: 160,
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'clients', type: 'quantitative', scale: { type: 'log' }, title: 'clients' },
        y: { field: 'value', type: 'quantitative', title: null, scale: { zero: true } },
        color: color(values),
      },
    },
    resolve: { scale: { y: 'independent' } },
  };
}

async function draw(name: string, spec: TopLevelSpec): Promise<void> {
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  const file = join(folder, `${name}.svg`);
  writeFileSync(file, `${await view.toSVG()}\n`);
  view.finalize();
  console.log(file);
}

const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
const read = (file: string): Results => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Results;
const isScale = (file: string): boolean => /^scale-\d+\.json$/.test(file);
for (const file of files.filter((one) => !isScale(one))) {
  const found = points(read(file));
  const grows = new Set(found.map(({ clients }) => clients)).size > 1;
  await draw(file.replace(/\.json$/, ''), (grows ? lines : bars)(found));
}
const crowds = files.filter(isScale);
const growth = crowds.flatMap((file) => points(read(file)));
// One crowd is a point, not a line.
if (crowds.length > 1) await draw('scale', lines(growth));
