/** The metrics: their table and its page, bounds of labels, the endpoint, and what dashboard and alert rules refer to. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseListenAddress } from '../../src/core/config/listen-address.js';
import { type MetricSpec, metrics as table } from '../../src/core/main/metrics/catalogue.js';
import { metricsPage } from '../../src/core/main/metrics/docs.js';
import { MetricsEndpoint } from '../../src/core/main/metrics/endpoint.js';
import { Metrics } from '../../src/core/main/metrics/metrics.js';
import { collectFrom } from '../../src/core/main/metrics/sources.js';
import { Quiet } from '../../src/core/main/quiet.js';
import { ServerStats } from '../../src/core/main/server-stats.js';
import { addClient, cookieRequest, makeSessions, silent } from './main-support.js';

const root = join(import.meta.dirname, '../..');

/** The value of a series, e.g. `a_total{reason="x"}`; undefined when it is not exported. */
async function figure(metrics: Metrics, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

describe('the figures', () => {
  it('start at 0 for every listed value, and are bounded by the table', async () => {
    const metrics = new Metrics();
    expect(await figure(metrics, 'ocvpn_dropped_packets_total{reason="replay"}')).toBe(0);
    metrics.count('ocvpn_dropped_packets_total', { reason: 'replay' }, 3);
    metrics.count('ocvpn_dropped_packets_total', { reason: 'of a worker that lies' }, 2);
    expect(await figure(metrics, 'ocvpn_dropped_packets_total{reason="replay"}')).toBe(3);
    expect(await figure(metrics, 'ocvpn_dropped_packets_total{reason="other"}')).toBe(2);
    for (let n = 0; n < 40; n++)
      metrics.count('ocvpn_auth_attempts_total', { method: `m${n}`, result: 'wrong' });
    const methods = (await metrics.text()).match(/^ocvpn_auth_attempts_total\{method="[^"]+"/gm);
    expect(methods).toHaveLength(17);
    expect(await figure(metrics, 'ocvpn_auth_attempts_total{method="other",result="wrong"}')).toBe(24);
  });

  it('of a session: opened, carried, dropped, ended; a report that shrinks changes nothing', async () => {
    const parts = makeSessions();
    const { metrics } = parts.stats;
    const client = addClient(parts.clients);
    await parts.sessions.open(client, cookieRequest(client.id));
    const drops = { tooBig: 1, malformed: 0, source: 2, rateLimit: 0, streamFull: 0, tunFull: 0, replay: 0 };
    const report = { bytesIn: 100, bytesOut: 50, packetsIn: 3, packetsOut: 2, drops };
    parts.sessions.reports.count(client, report);
    parts.sessions.reports.count(client, { ...report, bytesIn: 10 });
    parts.sessions.close(client, 'idle-timeout', '', { ...report, bytesIn: 130 });
    for (const [series, value] of [
      ['ocvpn_sessions_opened_total', 1],
      ['ocvpn_sessions_closed_total{reason="idle-timeout"}', 1],
      ['ocvpn_tunnel_bytes_total{direction="in"}', 130],
      ['ocvpn_tunnel_bytes_total{direction="out"}', 50],
      ['ocvpn_tunnel_packets_total{direction="in"}', 3],
      ['ocvpn_dropped_packets_total{reason="too-big"}', 1],
      ['ocvpn_dropped_packets_total{reason="source"}', 2],
      ['ocvpn_handshake_failures_total', 0],
    ] as const)
      expect([series, await figure(metrics, series)]).toEqual([series, value]);
  });

  it('of an adopted session count from its first report on', async () => {
    const before = makeSessions();
    const client = addClient(before.clients);
    const reply = await before.sessions.open(client, cookieRequest(client.id));
    const ticket = ('body' in reply ? reply.body : reply).session?.ticket ?? new Uint8Array();
    const after = makeSessions();
    const { client: adopted } = after.resumption.resume(client.worker, {
      client: client.id,
      open: true,
      ticket,
    });
    if (!adopted) throw new Error('not adopted');
    const drops = { tooBig: 0, malformed: 0, source: 0, rateLimit: 0, streamFull: 0, tunFull: 0, replay: 0 };
    const report = { bytesIn: 1000, bytesOut: 0, packetsIn: 9, packetsOut: 0, drops };
    after.sessions.reports.count(adopted, report);
    after.sessions.reports.count(adopted, { ...report, bytesIn: 1007 });
    const { metrics } = after.stats;
    expect(await figure(metrics, 'ocvpn_tunnel_bytes_total{direction="in"}')).toBe(7);
    expect(await figure(metrics, 'ocvpn_sessions_adopted_total')).toBe(1);
    expect(adopted.session?.counters.bytesIn).toBe(1007);
  });

  it('of connections: handshakes that fail are counted, health probes are not', async () => {
    const { clients, sessions, stats } = makeSessions();
    const end = (reason: 'error' | 'health-probe', secure: boolean) => {
      const client = addClient(clients);
      if (secure) sessions.reports.handshake(client, { client: client.id, channel: 'tls', milliseconds: 30 });
      sessions.close(client, reason, '', null);
    };
    end('error', false);
    end('error', true);
    end('health-probe', false);
    expect(await figure(stats.metrics, 'ocvpn_handshake_failures_total')).toBe(1);
    expect(await figure(stats.metrics, 'ocvpn_handshake_seconds_bucket{le="0.025",channel="tls"}')).toBe(0);
    expect(await figure(stats.metrics, 'ocvpn_handshake_seconds_bucket{le="0.05",channel="tls"}')).toBe(1);
  });

  it('of logins: a prompt takes time, but is no attempt', async () => {
    const stats = new ServerStats(0);
    stats.loginSteps({
      steps: [
        { method: 'plain', result: 'prompted', milliseconds: 1 },
        { method: 'plain', result: 'wrong', milliseconds: 2 },
      ],
    });
    expect(await figure(stats.metrics, 'ocvpn_auth_attempts_total{method="plain",result="wrong"}')).toBe(1);
    expect(await figure(stats.metrics, 'ocvpn_auth_attempts_total{method="plain",result="prompted"}')).toBe(
      undefined,
    );
    expect(await figure(stats.metrics, 'ocvpn_auth_seconds_count{method="plain"}')).toBe(2);
  });

  it('that are gauges are asked for anew at each scrape', async () => {
    const { clients, bans, stats } = makeSessions();
    collectFrom(stats.metrics, {
      ...{ clients, bans, stats },
      secmod: { pid: null },
      pool: { workers: 5, spares: 2, waiting: 1 },
      certificates: { list: () => [{ vhost: 'default', key: 0, expires: 77 }] } as never,
    });
    const client = addClient(clients);
    bans.add('192.0.2.3', 80);
    expect(await figure(stats.metrics, 'ocvpn_connections{state="pre-auth"}')).toBe(1);
    clients.remove(client);
    for (const [series, value] of [
      ['ocvpn_connections{state="pre-auth"}', 0],
      ['ocvpn_banned_addresses', 1],
      ['ocvpn_workers{kind="serving"}', 3],
      ['ocvpn_secmod_up', 0],
      ['ocvpn_certificate_expiry_timestamp_seconds{vhost="default",key="0"}', 77],
    ] as const)
      expect([series, await figure(stats.metrics, series)]).toEqual([series, value]);
  });
});

describe('the endpoint', () => {
  let folder: string;
  const open: MetricsEndpoint[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'metrics-'));
  });
  afterEach(() => {
    for (const endpoint of open.splice(0)) endpoint.close();
    rmSync(folder, { recursive: true });
  });

  const ask = (socketPath: string, path = '/metrics', method = 'GET') =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const sent = request({ socketPath, path, method }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      sent.on('error', reject);
      sent.end();
    });

  it('answers on a unix socket that others cannot open, with the figures of the process, and removes it', async () => {
    const path = join(folder, 'm.sock');
    const metrics = new Metrics();
    open.push(await MetricsEndpoint.open(path, metrics, silent));
    expect(statSync(path).mode & 0o777).toBe(0o660);
    const { status, text } = await ask(path);
    expect(status).toBe(200);
    for (const name of Object.keys(table)) expect(text).toContain(`# HELP ${name} `);
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    expect(text).toMatch(/^process_resident_memory_bytes /m);
    expect(await ask(path, '/')).toMatchObject({ status: 404 });
    expect(await ask(path, '/metrics', 'POST')).toMatchObject({ status: 405 });
    for (const endpoint of open.splice(0)) endpoint.close();
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('says when the address is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const address = taken.address();
    const port = typeof address === 'object' ? address?.port : 0;
    await expect(MetricsEndpoint.open(`127.0.0.1:${port}`, new Metrics(), silent)).rejects.toThrow(
      `The metrics cannot be served at 127.0.0.1:${port}: it is already in use. Choose another address with metrics-listen.`,
    );
    taken.close();
  });

  it.each([
    ['127.0.0.1:9467', { host: '127.0.0.1', port: 9467 }],
    ['[::1]:1', { host: '::1', port: 1 }],
    ['/run/m.sock', { path: '/run/m.sock' }],
    ['localhost:9467', null],
    ['[127.0.0.1]:9467', null],
    ['::1:9467', null],
    ['127.0.0.1:0', null],
    ['127.0.0.1:65536', null],
    ['9467', null],
  ])('%s is %o', (text, address) => expect(parseListenAddress(text)).toEqual(address));
});

describe('the documents', () => {
  it('docs/metrics.md is what the table says', async () => {
    await expect(metricsPage()).toMatchFileSnapshot('../../docs/metrics.md');
  });

  /** What is exported: names of series, and the labels of each. */
  async function exported(): Promise<Map<string, Set<string>>> {
    const found = new Map<string, Set<string>>([['up', new Set(['job'])]]);
    for (const [name, spec] of Object.entries(table) as [string, MetricSpec][]) {
      const labels = new Set(Object.keys(spec.labels));
      if (spec.type !== 'histogram') found.set(name, labels);
      else for (const end of ['bucket', 'sum', 'count']) found.set(`${name}_${end}`, labels);
    }
    const process = new Metrics();
    process.collectProcess();
    for (const [, name = ''] of (await process.text()).matchAll(/^# TYPE ((?:process|nodejs)_\w+)/gm))
      found.set(name, new Set());
    return found;
  }

  /** Selectors of an expression: a name of ours or of the process, with what is in its braces. */
  const selectors = (expression: string) =>
    [...expression.matchAll(/\b((?:ocvpn|nodejs|process)_\w+|up(?=\{))(?:\{([^}]*)\})?/g)].map(
      ([, name = '', inside = '']) => ({
        name,
        matchers: [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g)],
      }),
    );

  async function expectKnown(expressions: readonly string[]): Promise<void> {
    const known = await exported();
    const scraped = ['instance', 'job', 'le'];
    for (const expression of expressions) {
      const used = selectors(expression);
      expect(used.length, expression).toBeGreaterThan(0);
      for (const { name, matchers } of used) {
        expect([...known.keys()], expression).toContain(name);
        const labels = [...(known.get(name) ?? []), ...scraped];
        for (const [, label = '', values = ''] of matchers) {
          expect(labels, expression).toContain(label);
          const spec = (table as Record<string, MetricSpec>)[name]?.labels[label];
          if (typeof spec !== 'object') continue;
          for (const value of values.split('|')) expect(spec, expression).toContain(value);
        }
      }
      const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) =>
        list.split(/,\s*/),
      );
      const offered = used.flatMap(({ name }) => [...(known.get(name) ?? [])]);
      for (const label of grouped) expect([...offered, ...scraped], expression).toContain(label);
    }
  }

  it('the alert rules use what is exported, and say what to do', async () => {
    const { groups } = parse(readFileSync(join(root, 'docs/metrics/alerts.yaml'), 'utf8')) as {
      groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(5);
    for (const { annotations } of rules) expect(Object.keys(annotations)).toEqual(['summary', 'mend']);
    await expectKnown(rules.map(({ expr }) => expr));
  });

  it('the dashboard uses what is exported, and shows every metric of the table but the plainest', async () => {
    const text = readFileSync(join(root, 'docs/metrics/grafana.json'), 'utf8');
    const { panels } = JSON.parse(text) as { panels: { targets?: { expr: string }[] }[] };
    const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    await expectKnown(expressions);
    const shown = expressions.join('\n');
    const left = Object.keys(table).filter((name) => !shown.includes(name));
    expect(left).toEqual(['ocvpn_secmod_entries']);
  });
});

it('a line that repeats is told once in its period, for each key', () => {
  let now = 0;
  const quiet = new Quiet(() => now, 60);
  expect([quiet.isDue('a'), quiet.isDue('a'), quiet.isDue('b')]).toEqual([true, false, true]);
  now = 60;
  expect([quiet.isDue('a'), quiet.isDue('a')]).toEqual([true, false]);
  for (let n = 0; n < 1100; n++) quiet.isDue(`x${n}`);
  expect(quiet.isDue('a')).toBe(true);
});
