/** The figures themselves, in the registry that is exported. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  type LabelValues,
  type MetricName,
  type MetricSpec,
  metrics,
} from './catalogue.js';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** In place of a label's value that is not known, or one too many. */
const OTHER = 'other';

export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
  readonly #collectors = new Map<GaugeName, () => Iterable<Sample>>();
  /** Values of labels without a list, by `metric label`. */
  readonly #seen = new Map<string, Set<string>>();

  constructor() {
    for (const [name, spec] of Object.entries(metrics) as [MetricName, MetricSpec][]) this.#make(name, spec);
  }

  count(name: CounterName, labels: Labels = {}, by = 1): void {
    if (by > 0) this.#counters.get(name)?.inc(this.#bounded(name, labels), by);
  }

  observe(name: HistogramName, labels: Labels, seconds: number): void {
    this.#histograms.get(name)?.observe(this.#bounded(name, labels), seconds);
  }

  /** Asks for the gauge's values at each scrape; those of before are forgotten. */
  collect(name: GaugeName, samples: () => Iterable<Sample>): void {
    this.#collectors.set(name, samples);
  }

  /** Adds CPU time, memory, descriptors and event loop lag of this process; costs a timer of 10 ms. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything in Prometheus' text format. */
  async text(): Promise<string> {
    for (const [name, samples] of this.#collectors) {
      const gauge = this.#gauges.get(name);
      gauge?.reset();
      for (const { labels = {}, value } of samples()) gauge?.set(this.#bounded(name, labels), value);
    }
    return this.#registry.metrics();
  }

  #make(name: MetricName, { type, help, labels, buckets }: MetricSpec): void {
    const common = { name, help, labelNames: Object.keys(labels), registers: [this.#registry] };
    if (type === 'gauge') this.#gauges.set(name, new Gauge(common));
    else if (type === 'histogram')
      this.#histograms.set(name, new Histogram({ ...common, buckets: [...(buckets ?? [])] }));
    else {
      const counter = new Counter(common);
      // A rate needs a beginning: what can be named from the start, starts at 0.
      for (const combination of combinations(Object.entries(labels))) counter.inc(combination, 0);
      this.#counters.set(name, counter);
    }
  }

  #bounded(name: MetricName, labels: Labels): Record<string, string> {
    const { labels: specs }: MetricSpec = metrics[name];
    const entries = Object.entries(specs).map(([label, values]) => [
      label,
      this.#boundedValue(`${name} ${label}`, values, labels[label] ?? OTHER),
    ]);
    return Object.fromEntries(entries);
  }

  #boundedValue(key: string, values: LabelValues, value: string): string {
    if (typeof values !== 'number') return values.includes(value) ? value : OTHER;
    const seen = this.#seen.get(key) ?? new Set();
    this.#seen.set(key, seen);
    if (!seen.has(value) && seen.size >= values) return OTHER;
    seen.add(value);
    return value;
  }
}

/** Every combination of listed values; none when a label has no list. */
function combinations(labels: readonly (readonly [string, LabelValues])[]): Record<string, string>[] {
  let found: Record<string, string>[] = [{}];
  for (const [label, values] of labels) {
    if (typeof values === 'number') return [];
    found = found.flatMap((one) => values.map((value) => ({ ...one, [label]: value })));
  }
  return found;
}
