/** The history of sessions: what main writes and `vpn history` finds. */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runHistory } from '../../src/core/history/command.js';
import { defaultHistoryFile, History, type HistoryRow } from '../../src/core/history/history.js';
import { parseTime, readHistory } from '../../src/core/history/read.js';
import { until } from '../support/wait.ts';

const DAY = 86_400;
let directory: string;
let path: string;
let now: number;
let logged: string[];
const opened: History[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-history-'));
  path = defaultHistoryFile(directory);
  now = 100 * DAY;
  logged = [];
});
afterEach(() => {
  for (const history of opened.splice(0)) history.close();
  rmSync(directory, { recursive: true });
});

function open(): History {
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
  const history = new History({ path, days: 30, log, now: () => now });
  opened.push(history);
  return history;
}

const row = (client: number, changes: Partial<HistoryRow> = {}): HistoryRow => ({
  session: 'safe',
  client,
  user: 'alice',
  group: '',
  vhost: 'default',
  remoteIp: '198.51.100.7',
  ipv4: '10.8.0.2',
  ipv6: null,
  userAgent: 'test',
  connected: now,
  disconnected: null,
  reason: null,
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  ...changes,
});
const find = (filter: Partial<Parameters<typeof readHistory>[1]> = {}) =>
  readHistory(path, { limit: 100, ...filter });
/** What is found once `number` tunnels are written. */
const written = (number: number) =>
  until(`${number} tunnels`, () => (find().length === number ? find() : undefined));
const clients = (filter: Partial<Parameters<typeof readHistory>[1]>) =>
  find(filter).map(({ client }) => client);

describe('one tunnel', () => {
  it('is there soon after it opened, and as it ended; counters only grow', async () => {
    const history = open();
    history.put(row(1));
    history.put(row(1, { bytesIn: 2 ** 40, packetsIn: 9 }));
    expect(await written(1)).toEqual([row(1, { bytesIn: 2 ** 40, packetsIn: 9 })]);
    history.put(row(1, { bytesIn: 5, bytesOut: 7, disconnected: now + 9, reason: 'idle-timeout' }));
    const ended = {
      bytesIn: 2 ** 40,
      bytesOut: 7,
      packetsIn: 9,
      disconnected: now + 9,
      reason: 'idle-timeout',
    };
    expect(find()).toEqual([row(1, ended)]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('survives the process that wrote it, and ends when the next one does not know it', () => {
    const first = open();
    for (const client of [1, 2]) first.put(row(client));
    now += 60;
    first.maintain([row(1, { bytesIn: 4 }), row(2)].map((each) => ({ ...each, connected: now - 60 })));
    now += 1000;
    open().maintain([row(2, { connected: now - 1060 })]);
    expect(find()).toMatchObject([
      { client: 2, disconnected: null },
      { client: 1, disconnected: now - 1000, reason: 'unspecified', bytesIn: 4 },
    ]);
  });

  it('that rests is written no more, and was there as long as its main', () => {
    const first = open();
    for (const client of [1, 2, 3]) first.put(row(client));
    const connected = now;
    now += 600;
    first.maintain([row(3, { connected, bytesOut: 9 })]);
    now += 1000;
    const second = open();
    second.put(row(2, { connected }));
    second.maintain([]);
    second.maintain([]);
    expect(find()).toMatchObject([
      { client: 3, disconnected: now - 1000, bytesOut: 9 },
      { client: 2, disconnected: null },
      { client: 1, disconnected: now - 1000, reason: 'unspecified' },
    ]);
    // It was only late.
    second.put(row(1, { connected }));
    second.maintain([]);
    expect(find()).toContainEqual(expect.objectContaining({ client: 1, disconnected: null }));
  });
});

it('waits with the beginning of a tunnel, never with an end', async () => {
  const history = open();
  for (const client of [1, 2, 3]) history.put(row(client));
  expect(find()).toEqual([]);
  history.put(row(2, { disconnected: now + 1, reason: 'user-disconnect' }));
  // What waited goes with it.
  expect(find().map(({ client, disconnected }) => [client, disconnected])).toEqual(
    expect.arrayContaining([
      [1, null],
      [2, now + 1],
      [3, null],
    ]),
  );
  history.put(row(4));
  expect(await written(4)).toContainEqual(row(4));
  history.put(row(5));
  history.close();
  expect(find()).toContainEqual(row(5));
});

it('finds by user, time and number, the latest first', async () => {
  const history = open();
  const at = (days: number) => now + days * DAY;
  history.put(row(1, { connected: at(-9), disconnected: at(-8) }));
  history.put(row(2, { connected: at(-7), disconnected: at(-5), user: 'bob' }));
  history.put(row(3, { connected: at(-2) }));
  await written(3);
  expect(clients({})).toEqual([3, 2, 1]);
  expect(clients({ user: 'bob' })).toEqual([2]);
  expect(clients({ user: "x' OR 1=1 --" })).toEqual([]);
  expect(clients({ since: at(-6) })).toEqual([3, 2]);
  expect(clients({ since: at(-4) })).toEqual([3]);
  expect(clients({ until: at(-7) })).toEqual([1]);
  expect(clients({ limit: 1 })).toEqual([3]);
});

it('forgets what ended too long ago, never what is open', () => {
  const history = open();
  history.put(row(1, { connected: now - 60 * DAY, disconnected: now - 31 * DAY }));
  history.put(row(2, { connected: now - 60 * DAY, disconnected: now - 29 * DAY }));
  const long = row(3, { connected: now - 90 * DAY });
  history.put(long);
  history.maintain([long]);
  expect(clients({})).toEqual([2, 3]);
});

it('does not take the server down with it: unusable files are named, a failing disk is logged once', () => {
  writeFileSync(path, 'this is no database, and long enough to be looked at as one\n'.repeat(20));
  expect(open).toThrow(/OCS_HISTORY|cannot be used/);
  rmSync(path);
  const history = open();
  history.close();
  for (const client of [1, 2]) history.put(row(client, { disconnected: now }));
  expect(logged).toHaveLength(1);
  mkdirSync(join(directory, 'd'));
  expect(() => readHistory(join(directory, 'd'), { limit: 1 })).toThrow(/cannot be used/);
  expect(() => readHistory(join(directory, 'none'), { limit: 1 })).toThrow(/does not exist/);
});

it.each([
  ['90m', 1_000_000 - 5400],
  ['2w', 1_000_000 - 14 * DAY],
  ['1970-01-02T00:00:00Z', DAY],
  ['yesterday', null],
  ['7', null],
  ['2026-13-45', null],
])('reads the time %s', (text, seconds) => expect(parseTime(text, 1_000_000)).toBe(seconds));

it('vpn history prints a table or JSON, and names a time that is none', () => {
  open().put(row(1, { disconnected: now + 3600, reason: 'user-disconnect', bytesIn: 1234 }));
  const command = { dataDir: directory, limit: 10, json: false };
  expect(runHistory(command)).toMatch(
    /alice.*198\.51\.100\.7.*10\.8\.0\.2.*1h:00m.*1\.2 kB.*user-disconnect/,
  );
  expect(JSON.parse(runHistory({ ...command, json: true }))).toMatchObject([{ client: 1, bytesIn: 1234 }]);
  expect(runHistory({ ...command, user: 'eve' })).toBe('no sessions');
  expect(() => runHistory({ ...command, since: 'soon' })).toThrow(/"soon" is no time/);
});
