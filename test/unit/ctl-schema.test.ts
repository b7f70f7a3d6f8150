/** docs/schema is what the verbs say, real answers fit it, and occtl's JSON has occtl's keys. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import {
  bansJson,
  cookiesJson,
  iroutesJson,
  pointsJson,
  statusJson,
  usersJson,
} from '../../src/core/control/occtl-json.js';
import { verbSchema } from '../../src/core/control/schema-docs.js';
import { completions, parseLine } from '../../src/core/control/shell.js';
import { rates } from '../../src/core/control/top.js';
import { type PlainVerb, type VerbName, verbs } from '../../src/core/control/verbs.js';
import { noDrops, UNTOLD } from '../../src/core/main/clients.js';
import { controlHandlers, eventData } from '../../src/core/main/control-handlers.js';
import {
  aCookie,
  addClient,
  cookieRequest,
  FakeWorker,
  makeSessions,
  SID,
  secmodSession,
} from './main-support.js';

const names = Object.keys(verbs) as VerbName[];

test.each(names)('docs/schema/%s.json is what the table says (write it with vitest -u)', async (name) => {
  const text = `${JSON.stringify(verbSchema(name), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot(`../../docs/schema/${name}.json`);
});

type Json = Record<string, unknown>;

/** Where a value differs from a schema of the kind that we write; '' when it fits. */
function misfit(schema: Json, value: unknown, at = '$'): string {
  const types = [schema.type].flat();
  if (schema.enum) return (schema.enum as unknown[]).includes(value) ? '' : `${at} is ${String(value)}`;
  const actual = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  const isWhole = actual === 'number' && Number.isInteger(value);
  if (!types.includes(actual) && !(isWhole && types.includes('integer'))) return `${at} is ${actual}`;
  if (actual === 'array') {
    const items = (value as unknown[]).map((item, index) =>
      misfit(schema.items as Json, item, `${at}[${index}]`),
    );
    return items.find(Boolean) ?? '';
  }
  if (actual !== 'object') return '';
  const members = value as Json;
  const properties = schema.properties as Record<string, Json>;
  const surplus = Object.keys(members).find((key) => !(key in properties));
  if (surplus) return `${at}.${surplus} is not in the schema`;
  for (const key of schema.required as string[]) {
    const problem =
      key in members
        ? misfit(properties[key] ?? {}, members[key], `${at}.${key}`)
        : `${at}.${key} is missing`;
    if (problem) return problem;
  }
  return '';
}

async function populated() {
  const parts = makeSessions();
  const worker = new FakeWorker();
  const client = addClient(parts.clients, worker);
  await parts.sessions.open(client, cookieRequest(client.id));
  addClient(parts.clients, worker, '203.0.113.5');
  parts.bans.add('203.0.113.9', 200);
  parts.bans.add('2001:db8::5', 3);
  const cookies = [aCookie, { ...aCookie, safeId: 'abczzzz', userName: 'bob', inUse: 0 }];
  const handlers = controlHandlers({
    ...parts,
    secmod: {
      pid: 12,
      listCookies: async () => cookies,
      terminate: async (which) =>
        cookies.filter((one) =>
          'userName' in which ? one.userName === which.userName : one.safeId === which.safeId,
        ).length,
    },
    pool: { workers: 3, spares: 2 },
    now: () => parts.clock.now,
    reload: async () => ({ needRestart: ['tcp-port'] }),
    stop: () => {},
  });
  return { ...parts, worker, client, handlers };
}

describe('answers', () => {
  it('of every verb fit its schema', async () => {
    const { handlers, client, events, sessions } = await populated();
    const answers: { readonly [N in PlainVerb]: unknown } = {
      status: handlers.status(),
      users: handlers.users(),
      user: handlers.user({ name: 'alice' }),
      id: handlers.id({ id: client.id }),
      sessions: await handlers.sessions(),
      session: await handlers.session({ id: 'abcd' }),
      bans: handlers.bans(),
      'disconnect-user': handlers['disconnect-user']({ name: 'alice' }),
      'disconnect-id': handlers['disconnect-id']({ id: client.id }),
      'terminate-user': await handlers['terminate-user']({ name: 'bob' }),
      'terminate-id': await handlers['terminate-id']({ id: client.id }),
      'terminate-session': await handlers['terminate-session']({ id: 'abcz' }),
      'unban-ip': handlers['unban-ip']({ ip: '203.0.113.9' }),
      reload: await handlers.reload(),
      stop: handlers.stop(),
    };
    for (const [name, answer] of Object.entries(answers)) {
      const sent: unknown = JSON.parse(JSON.stringify(answer));
      expect([name, misfit(verbSchema(name as VerbName), sent)]).toEqual([name, '']);
    }
    sessions.close(client, 'user-disconnect', '', null);
    expect(events.map(({ type }) => type)).toEqual(['connected', 'disconnected']);
    for (const event of events) {
      expect(misfit(verbSchema('events'), JSON.parse(JSON.stringify(eventData(event))))).toBe('');
    }
  });

  it('that do not fit are noticed by this test', () => {
    expect(misfit(verbSchema('stop'), { stopping: 1 })).toBe('$.stopping is number');
    expect(misfit(verbSchema('stop'), {})).toBe('$.stopping is missing');
    expect(misfit(verbSchema('stop'), { stopping: true, more: 1 })).toContain('not in the schema');
  });

  it('name what is not there, and what is not clear', async () => {
    const { handlers } = await populated();
    await expect(handlers.session({ id: 'abc' })).rejects.toMatchObject({ code: 'OCS_CTL_AMBIGUOUS' });
    // Each with the command that shows those that there are.
    const absent = (message: string) => ({ code: 'OCS_CTL_NOT_FOUND', message });
    await expect(handlers.session({ id: '' })).rejects.toMatchObject(
      absent(`Session '' was not found. See "vpn ctl show sessions".`),
    );
    await expect(handlers['terminate-user']({ name: 'eve' })).rejects.toMatchObject(
      absent(`User 'eve' was not found. See "vpn ctl show sessions".`),
    );
    expect(() => handlers['disconnect-user']({ name: 'eve' })).toThrow('See "vpn ctl show users".');
    expect(handlers['unban-ip']({ ip: '192.0.2.1' })).toEqual({ unbanned: false });
    expect(() => handlers['unban-ip']({ ip: 'x' })).toThrow('not an IP address');
  });

  it('to terminate end the connection and the cookie', async () => {
    const { handlers, client, worker } = await populated();
    expect(await handlers['terminate-user']({ name: 'alice' })).toEqual({ terminated: 1, disconnected: 1 });
    expect(worker.terminated).toMatchObject([{ client: client.id, how: 'disconnect' }]);
  });
});

/** Keys of a recorded JSON text, which is not always JSON. */
function goldenKeys(name: string): string[] {
  const path = join(import.meta.dirname, '../golden/recordings/ocserv-1.5.0', name);
  const text = readFileSync(path, 'utf8').split(/^ {2}\},/m)[0] ?? '';
  return [...text.matchAll(/^\s*"([^"]+)":/gm)].map(([, key = '']) => key);
}

describe("occtl's JSON has the keys of ocserv 1.5.0 in their order", () => {
  it.each(['users', 'status', 'sessions', 'iroutes', 'points'])('%s', async (what) => {
    const { handlers, client, sessions } = await populated();
    const told = { tlsCipher: '(TLS1.3)', dtlsCipher: '(DTLS1.2)', dtlsActive: true, pid: 4711 };
    sessions.reports.info(client, { ...UNTOLD, ...told });
    const [user] = usersJson(handlers.user({ name: 'alice' }));
    const [openCookie] = cookiesJson((await handlers.sessions()).filter(({ inUse }) => inUse === 0));
    const shown: Record<string, [object | undefined, string]> = {
      users: [user, 'occtl-show-users.json'],
      status: [statusJson(handlers.status()), 'occtl-show-status.json'],
      sessions: [openCookie, 'occtl-show-sessions-all.json'],
      iroutes: [iroutesJson(handlers.users())[0], 'occtl-show-iroutes.json'],
      points: [pointsJson(handlers.bans())[0], 'occtl-show-ip-ban-points.json'],
    };
    const [object, file] = shown[what] ?? [];
    expect(Object.keys(object ?? {})).toEqual(goldenKeys(file ?? ''));
  });

  it('and bans say when they end', async () => {
    const { handlers } = await populated();
    expect(bansJson(handlers.bans().filter(({ expires }) => expires !== 0))).toMatchObject([
      { IP: '203.0.113.9', _Since: ' 5m:00s', Score: 200 },
    ]);
  });
});

describe('the shell', () => {
  const phrases = ['show users', 'show user', 'show ip bans', 'stop', 'stop now'];

  it.each([
    ['show user alice', 'show user', ['alice']],
    ['SHOW   Users', 'show users', []],
    ['stop now', 'stop now', []],
    ['show ip bans ', 'show ip bans', []],
  ])('%s', (line, phrase, args) => {
    expect(parseLine(line, phrases)).toEqual({ phrase, args });
  });

  it('knows no abbreviations and completes what was begun', () => {
    expect(parseLine('sho users', phrases)).toBeNull();
    expect(parseLine('', phrases)).toBeNull();
    expect(completions('show  u', phrases)).toEqual(['show user', 'show users']);
  });
});

test('top shows what was transferred between two looks, busiest first', async () => {
  const { handlers, client, sessions, secmod, clients } = await populated();
  const other = addClient(clients);
  secmod.answer = ({ sid }) => ({ ...secmodSession(sid), userName: 'bob' });
  await sessions.open(
    other,
    cookieRequest(
      other.id,
      SID.map((byte) => byte + 1),
    ),
  );
  const before = handlers.users();
  sessions.reports.count(other, {
    bytesIn: 4000,
    bytesOut: 2000,
    packetsIn: 1,
    packetsOut: 1,
    drops: noDrops(),
  });
  sessions.reports.count(client, { bytesIn: 10, bytesOut: 0, packetsIn: 1, packetsOut: 1, drops: noDrops() });
  expect(rates(before, handlers.users(), 2)).toMatchObject([
    { user: 'bob', rx: 2000, tx: 1000 },
    { user: 'alice', rx: 5, tx: 0 },
  ]);
});
