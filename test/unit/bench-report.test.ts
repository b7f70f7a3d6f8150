/** The benchmark's own arithmetic: medians, ratios, thresholds, command line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cases } from '../bench/cases.ts';
import { metrics } from '../bench/metrics.ts';
import { readOptions } from '../bench/options.ts';
import { type Sample, summarize, table } from '../bench/report.ts';
import { median, quantile } from '../bench/statistics.ts';
import { check } from '../bench/thresholds.ts';

const sample = (server: Sample['server'], round: number, cpuPerGb: number): Sample => ({
  case: 'dtls-down',
  server,
  round,
  measured: { cpuPerGb },
});

describe('statistics', () => {
  it('takes the middle, whatever the order, and the mean of two middles', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  it('interpolates between neighbours', () => {
    const values = Array.from({ length: 101 }, (_, n) => n);
    expect(quantile(values, 0.99)).toBe(99);
    expect(quantile([10, 20], 0.25)).toBe(12.5);
    expect(quantile([7], 0.99)).toBe(7);
  });
});

describe('summary', () => {
  it('divides within each round before it takes the median', () => {
    // A machine that became slower round by round: the ratio of medians would be 8 / 20.
    const samples = [
      ...[10, 20, 40].map((value, index) => sample('reference', index + 1, value)),
      ...[8, 4, 10].map((value, index) => sample('ours', index + 1, value)),
    ];
    expect(summarize(samples)).toEqual([
      { case: 'dtls-down', metric: 'cpuPerGb', reference: 20, ours: 8, ratio: 0.25, peers: {} },
    ]);
  });

  it('has no ratio where a side is missing or zero', () => {
    expect(summarize([sample('ours', 1, 3)])[0]?.ratio).toBeUndefined();
    expect(summarize([sample('reference', 1, 0), sample('ours', 1, 3)])[0]?.ratio).toBeUndefined();
    expect(summarize([])).toEqual([]);
  });

  it("does not tell apart what is below a metric's floor, and hides nothing above it", () => {
    const lost = (server: Sample['server'], lostShare: number): Sample => ({
      ...sample(server, 1, 0),
      measured: { lostShare },
    });
    const ratio = (reference: number, ours: number) =>
      summarize([lost('reference', reference), lost('ours', ours)])[0]?.ratio;
    expect(ratio(0.01, 0.07)).toBe(1);
    expect(ratio(0, 0)).toBe(1);
    expect(ratio(0.01, 0.5)).toBeCloseTo(5);
    expect(ratio(0.5, 1)).toBeCloseTo(2);
  });

  it('keeps figures that explain others for those who ask', () => {
    const logins = { case: 'logins', server: 'ours', round: 1 } as const;
    const figures = summarize([{ ...logins, measured: { cpuPerLogin: 9, secmodCpuPerLogin: 4 } }]);
    const names = { reference: 'ocserv', ours: 'ours' };
    expect(table(figures, names)).not.toMatch(/secmod/);
    expect(table(figures, names, true)).toMatch(/secmod, ms ↓ +- +4\.00/);
  });

  it('has a column for another program only where it took part', () => {
    const samples = [
      sample('reference', 1, 8),
      sample('ours', 1, 2),
      sample('openvpn', 1, 6),
      sample('openvpn', 2, 7),
    ];
    const [head, line] = table(summarize(samples), { reference: 'ocserv', ours: 'ours' }).split('\n');
    expect(head).toMatch(/ratio +openvpn$/);
    expect(line).toMatch(/0\.25 +6\.50$/);
  });

  it('prints one line per figure under its case', () => {
    const figures = summarize([sample('reference', 1, 8), sample('ours', 1, 2)]);
    const [head, line] = table(figures, { reference: 'ocserv', ours: 'ours' }).split('\n');
    expect(head).toMatch(/^case +measured +ocserv +ours +ratio$/);
    expect(line).toMatch(/^dtls-down +server CPU, s\/GB of goodput ↓ +8\.00 +2\.00 +0\.25$/);
  });
});

describe('thresholds', () => {
  const at = (metric: 'cpuPerGb' | 'mbit', ratio: number) =>
    check([{ case: 'dtls-down', metric, reference: 1, ours: ratio, ratio, peers: {} }], 20).map(
      ({ severity }) => severity,
    );

  it('fails, warns or is silent where less is better', () => {
    expect(at('cpuPerGb', 5)).toEqual(['fail']);
    expect(at('cpuPerGb', 0.5)).toEqual(['warn']);
    expect(at('cpuPerGb', 0.3)).toEqual([]);
  });

  it('fails, warns or is silent where more is better', () => {
    expect(at('mbit', 0.1)).toEqual(['fail']);
    expect(at('mbit', 0.95)).toEqual(['warn']);
    expect(at('mbit', 3)).toEqual([]);
  });

  it('judges our own figures of a crowd, not those of a few clients', () => {
    const of = (ours: number, clients: number) =>
      check(
        [{ case: 'scale', metric: 'idleCpu', reference: undefined, ours, ratio: undefined, peers: {} }],
        clients,
      );
    expect(of(3, 5000)).toEqual([{ severity: 'warn', text: 'scale idleCpu: 3.00, wanted at most 2' }]);
    expect(of(5, 1000)).toMatchObject([{ severity: 'fail' }]);
    expect(of(1.9, 5000)).toEqual([]);
    expect(of(9, 999)).toEqual([]);
  });

  it('judges the ratio to another program where it took part', () => {
    const of = (peers: Record<string, number>) =>
      check([{ case: 'batched-dtls-up', metric: 'mbit', reference: 1, ours: 3, ratio: 9, peers }], 20);
    expect(of({ openvpn: 1 })).toEqual([
      { severity: 'warn', text: 'batched-dtls-up mbit: ratio to openvpn 3.00, wanted at least 4' },
    ]);
    expect(of({ 'wireguard-go': 2 })).toMatchObject([{ severity: 'fail' }]);
    expect(of({ openvpn: 0.5 })).toEqual([]);
    expect(of({})).toEqual([]);
  });

  it('knows its cases and metrics', () => {
    const judged = JSON.parse(
      readFileSync(join(import.meta.dirname, '../bench/thresholds.json'), 'utf8'),
    ) as { case: string; metric: string }[];
    for (const { case: name, metric } of judged) {
      expect(cases.map((one) => one.name)).toContain(name);
      expect(Object.keys(metrics)).toContain(metric);
    }
  });

  it('does not judge what was not measured', () => {
    expect(check([], 5000)).toEqual([]);
  });
});

describe('command line', () => {
  it('takes several cases after one --case and keeps the order of the table', () => {
    expect(readOptions(['--case', 'tls-up', 'dtls-down', '--rounds', '3'])).toMatchObject({
      cases: ['dtls-down', 'tls-up'],
      rounds: 3,
      against: 'ocvpn',
    });
  });

  it('reads settings for our server with their types', () => {
    const read = readOptions(['--set', 'worker-clients=64', '--set', 'offload=false', '--set', 'x=a=b']);
    expect(read?.ours).toEqual({ 'worker-clients': 64, offload: false, x: 'a=b' });
  });

  it.each([
    [['--case', 'nonsense'], /no case nonsense/],
    [['--rounds', '0'], /--rounds 0/],
    [['--seconds', '1.5'], /--seconds 1\.5/],
    [['--set', 'worker-clients'], /give NAME=VALUE/],
    [['--nonsense'], /nonsense/],
  ])('refuses %j', (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });

  it('measures other programs only when asked', () => {
    expect(readOptions([])?.peers).toEqual([]);
    expect(readOptions(['--peers'])?.peers).toEqual(['wireguard-go', 'openvpn']);
  });

  it('is undefined for --help', () => {
    expect(readOptions(['--help'])).toBeUndefined();
  });
});
