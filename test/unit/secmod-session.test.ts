/** The life of a cookie: every row of the table in protocol.md §14, with a clock of its own. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import type { VhostConfig } from '../../src/core/config/schema.js';
import { type DiscReason, keyOf, NO_TRAFFIC, type Session } from '../../src/core/secmod/session.js';
import { ipv4Seed, Sessions } from '../../src/core/secmod/sessions.js';
import { MemoryStore } from '../../src/core/secmod/state-store.js';
import { lookup3 } from '../../src/core/secmod/user-hash.js';
import { safeIdOf } from '../../src/core/util/safe-id.js';

const COOKIE_TIMEOUT = 100;
const LINGER = COOKIE_TIMEOUT + 15;
const START = 1_000_000;

let now: number;
let config: VhostConfig;
let sessions: Sessions;
let store: MemoryStore;

function configure(values: object = {}): void {
  const document = {
    auth: ['plain[passwd=/x]'],
    'server-cert': ['c'],
    'server-key': ['k'],
    'ipv4-network': '10.0.0.0/24',
    'cookie-timeout': COOKIE_TIMEOUT,
    ...values,
  };
  config = buildConfig(document, {}, null).default;
}

beforeEach(() => {
  now = START;
  configure();
  store = new MemoryStore(10);
  sessions = new Sessions({
    store,
    now: () => now,
    vhost: (name) => (name === 'default' ? config : undefined),
    iroutes: () => new Map(),
    accounting: () => null,
    log: pino({ level: 'silent' }),
  });
});

async function login(changes: Partial<Session> = {}): Promise<Uint8Array> {
  const sid = randomBytes(32);
  const session: Session = {
    key: keyOf(sid),
    safeId: safeIdOf(sid),
    status: 'COMPLETED',
    vhost: 'default',
    userName: 'alice',
    groupName: 'staff',
    remoteIp: '192.0.2.1',
    userAgent: 'test',
    devicePlatform: '',
    deviceType: '',
    tlsAuthOk: false,
    ipv4Seed: 7,
    created: now,
    expires: now + LINGER,
    inUse: 0,
    sessionIsOpen: false,
    saved: NO_TRAFFIC,
    current: NO_TRAFFIC,
    discReason: 'unspecified',
    disconnected: null,
    ipv4: '',
    ipv6: '',
    lease: '',
    settings: null,
    ourIp: '',
    accounted: false,
    ...changes,
  };
  expect(await store.insert(session)).toBe(true);
  return sid;
}

const open = (sid: Uint8Array) => sessions.open({ client: 1, sid, remoteIp: '192.0.2.9' });
const close = (sid: Uint8Array, discReason: DiscReason, changes: object = {}) =>
  sessions.close({ sid, bytesIn: 0, bytesOut: 0, discReason, serverDisconnected: false, ...changes });
const resume = (sid: Uint8Array) =>
  sessions.resume({
    client: 1,
    sid,
    userName: 'alice',
    groupName: '',
    vhost: 'default',
    ip: '192.0.2.1',
    ipv4Seed: 7,
    tlsAuthOk: false,
    userAgent: 'test',
    devicePlatform: '',
    deviceType: '',
    sessionStartTime: now,
    lease: '',
  });
const isGood = async (sid: Uint8Array) => (await open(sid)).reply === 'OK';
const expiry = async (sid: Uint8Array) => (await store.get(keyOf(sid)))?.expires;

describe('a cookie that was not used', () => {
  test('is good until cookie-timeout and 15 s have passed, not longer', async () => {
    const [early, late] = [await login(), await login()];
    now = START + LINGER - 1;
    expect(await isGood(early)).toBe(true);
    now = START + LINGER;
    expect(await open(late)).toMatchObject({ reply: 'FAILED', session: null });
  });

  test.each(['INIT', 'CONT', 'FAILED'] as const)('of a login in %s is refused', async (status) => {
    expect(await isGood(await login({ status }))).toBe(false);
  });

  test('that nobody was given is refused', async () => {
    expect(await isGood(randomBytes(32))).toBe(false);
  });

  test('of a virtual host that is gone is refused', async () => {
    expect(await isGood(await login({ vhost: 'gone' }))).toBe(false);
  });
});

test('an open session never expires, and opening refreshes the expiry', async () => {
  const sid = await login();
  now += 50;
  const { session } = await open(sid);
  expect(session).toMatchObject({
    userName: 'alice',
    groupName: 'staff',
    ip: '192.0.2.1',
    sessionStartTime: START,
  });
  expect(await expiry(sid)).toBe(now + LINGER);
  now += 10 * LINGER;
  expect(await sessions.expire()).toBe(0);
  expect(await isGood(sid)).toBe(true);
});

test.each([
  ['forward', 86_400],
  ['back', -86_400],
])('a clock that jumps %s by a day ends no open session, and its cookie lingers as ever', async (_, jump) => {
  const sid = await login();
  await open(sid);
  now += jump;
  expect(await sessions.expire()).toBe(0);
  expect(await isGood(sid)).toBe(true);
  expect((await close(sid, 'temporary-disconnect')).uptimeSec).toBe(Math.max(0, jump));
  await close(sid, 'temporary-disconnect');
  expect(await expiry(sid)).toBe(now + LINGER);
});

test.each(['error', 'dpd-timeout', 'idle-timeout', 'temporary-disconnect', 'unspecified'] as const)(
  'after %s the cookie lingers for cookie-timeout and 15 s',
  async (reason) => {
    const sid = await login();
    await open(sid);
    now += 1000;
    await close(sid, reason);
    expect(await expiry(sid)).toBe(now + LINGER);
    now += LINGER - 1;
    expect(await sessions.expire()).toBe(0);
    now += 1;
    expect(await sessions.expire()).toBe(1);
  },
);

describe('ends that delete the cookie', () => {
  const ends = [
    ['user-disconnect', {}],
    ['session-timeout', {}],
    ['server-disconnect', { serverDisconnected: true }],
  ] as const;

  test.each(ends)('%s: at once', async (reason, changes) => {
    const sid = await login();
    await open(sid);
    await close(sid, reason, changes);
    expect(await store.get(keyOf(sid))).toBeUndefined();
  });

  test.each(ends)('%s: not with persistent-cookies', async (reason, changes) => {
    configure({ 'persistent-cookies': true });
    const sid = await login();
    await open(sid);
    now += 20;
    await close(sid, reason, changes);
    const kept = reason === 'user-disconnect' ? START + LINGER : now + LINGER;
    expect(await expiry(sid)).toBe(kept);
  });

  test('user-disconnect with persistent-cookies leaves at least 15 s', async () => {
    configure({ 'persistent-cookies': true });
    const sid = await login();
    await open(sid);
    now += 10 * LINGER;
    await close(sid, 'user-disconnect');
    expect(await expiry(sid)).toBe(now + 15);
  });

  test('a goodbye on the old tunnel does not end the new one', async () => {
    const sid = await login();
    await open(sid);
    await open(sid);
    await close(sid, 'user-disconnect');
    expect((await store.get(keyOf(sid)))?.inUse).toBe(1);
    await close(sid, 'user-disconnect');
    expect(await store.get(keyOf(sid))).toBeUndefined();
  });
});

test('session-timeout counts from the login and cannot be evaded by connecting again', async () => {
  configure({ 'session-timeout': 60 });
  const sid = await login();
  now += 59;
  expect(await isGood(sid)).toBe(true);
  now += 1;
  expect(await isGood(sid)).toBe(false);
  await close(sid, 'error');
  expect(await store.get(keyOf(sid))).toBeUndefined();
});

test('counters only grow, tunnels add up, and the time is from the login to the last end', async () => {
  const sid = await login();
  await open(sid);
  await sessions.report({ sid, bytesIn: 500, bytesOut: 50, discReason: 'unspecified' });
  await sessions.report({ sid, bytesIn: 100, bytesOut: 60, discReason: 'unspecified' });
  now += 10;
  expect(await close(sid, 'error', { bytesIn: 400, bytesOut: 70 })).toMatchObject({
    bytesIn: 500,
    bytesOut: 70,
  });
  now += 10;
  await open(sid);
  now += 10;
  const last = await close(sid, 'user-disconnect', { bytesIn: 1, bytesOut: 2 });
  expect(last).toEqual({
    bytesIn: 501,
    bytesOut: 72,
    discReason: 'user-disconnect',
    uptimeSec: 30,
    expires: 0,
  });
});

test('a second tunnel that is refused changes nothing of the one that runs', async () => {
  const sid = await login();
  await open(sid);
  await sessions.report({ sid, bytesIn: 500, bytesOut: 50, discReason: 'unspecified' });
  now += 10;
  await open(sid);
  expect(await close(sid, 'error')).toMatchObject({ bytesIn: 500, bytesOut: 50, uptimeSec: 10 });
  await sessions.report({ sid, bytesIn: 600, bytesOut: 60, discReason: 'unspecified' });
  now += 10;
  expect(await close(sid, 'error', { bytesIn: 700, bytesOut: 70 })).toMatchObject({
    bytesIn: 700,
    bytesOut: 70,
    uptimeSec: 20,
  });
});

test('a tunnel that is taken over counts once, whether or not it had reported', async () => {
  const sid = await login();
  await open(sid);
  await sessions.report({ sid, bytesIn: 500, bytesOut: 50, discReason: 'unspecified' });
  await open(sid);
  await close(sid, 'unspecified', { bytesIn: 510, bytesOut: 55 });
  await sessions.report({ sid, bytesIn: 7, bytesOut: 8, discReason: 'unspecified' });
  const last = await close(sid, 'user-disconnect', { bytesIn: 10, bytesOut: 20 });
  expect(last).toMatchObject({ bytesIn: 520, bytesOut: 75 });
});

test('figures of a session that is not open are not believed', async () => {
  const sid = await login();
  await sessions.report({ sid, bytesIn: 500, bytesOut: 50, discReason: 'error' });
  expect((await store.get(keyOf(sid)))?.current).toEqual(NO_TRAFFIC);
});

test('terminated sessions are gone, even persistent and open ones; others stay', async () => {
  configure({ 'persistent-cookies': true });
  const [a, b] = [await login(), await login({ userName: 'bob' })];
  await open(a);
  expect(await sessions.terminate((session) => session.userName === 'alice')).toBe(1);
  expect(await isGood(a)).toBe(false);
  expect(await sessions.terminate((session) => session.safeId === safeIdOf(b))).toBe(1);
  expect(await sessions.terminate(() => true)).toBe(0);
  expect(await close(a, 'server-disconnect', { bytesIn: 3, bytesOut: 4 })).toMatchObject({
    bytesIn: 3,
    uptimeSec: 0,
  });
});

test('a new main process knows no tunnels: their cookies linger', async () => {
  const sid = await login();
  await open(sid);
  await open(sid);
  now += 1000;
  await sessions.forgetTunnels();
  expect(await store.get(keyOf(sid))).toMatchObject({ inUse: 0, expires: now + LINGER });
  expect(await isGood(sid)).toBe(true);
});

test('a tunnel that is presented again counts on, and the cookie lives with it', async () => {
  const sid = await login();
  await open(sid);
  await sessions.report({ sid, bytesIn: 100, bytesOut: 10, discReason: 'unspecified' });
  await sessions.forgetTunnels();
  expect(await resume(sid)).toMatchObject({ reply: 'OK' });
  now += 10 * LINGER;
  expect(await sessions.expire()).toBe(0);
  expect(await close(sid, 'error', { bytesIn: 150, bytesOut: 20 })).toMatchObject({
    bytesIn: 150,
    bytesOut: 20,
    expires: now + LINGER,
  });
});

test('what a lost tunnel had reported is not lost when the client connects anew', async () => {
  const sid = await login();
  await open(sid);
  await sessions.report({ sid, bytesIn: 100, bytesOut: 10, discReason: 'unspecified' });
  await sessions.forgetTunnels();
  await open(sid);
  expect(await close(sid, 'error', { bytesIn: 5, bytesOut: 5 })).toMatchObject({
    bytesIn: 105,
    bytesOut: 15,
  });
});

test('terminate beats resume; a session lost with the state file is entered again', async () => {
  const [ended, unknown] = [await login(), randomBytes(32)];
  await open(ended);
  await sessions.terminate(() => true);
  expect(await resume(ended)).toMatchObject({ reply: 'FAILED' });
  const left = await login();
  await open(left);
  expect(await close(left, 'user-disconnect')).toMatchObject({ expires: 0 });
  expect(await resume(left)).toMatchObject({ reply: 'FAILED' });
  expect(await resume(unknown)).toMatchObject({ reply: 'OK' });
  expect(await store.get(keyOf(unknown))).toMatchObject({ userName: 'alice', inUse: 1, status: 'COMPLETED' });
  Object.defineProperty(store, 'lossy', { value: false });
  expect(await resume(randomBytes(32))).toMatchObject({ reply: 'FAILED' });
});

test('leases are kept with the session', async () => {
  const sid = await login();
  await sessions.setAddresses({ sid, ipv4: '10.0.0.2', ipv6: '', lease: 'L' });
  await login();
  const { leases } = await sessions.leases();
  expect(leases).toEqual([{ safeId: safeIdOf(sid), userName: 'alice', expires: START + LINGER, lease: 'L' }]);
});

test('cookies are listed without their secret', async () => {
  const sid = await login();
  await open(sid);
  await login({ status: 'CONT', userName: 'bob' });
  const list = await sessions.cookies();
  expect(list).toMatchObject([
    { safeId: safeIdOf(sid), status: 'authenticated', sessionIsOpen: true, inUse: 1, userName: 'alice' },
    { status: 'authenticating', sessionIsOpen: false, inUse: 0, userName: 'bob' },
  ]);
  expect(JSON.stringify(list)).not.toContain(Buffer.from(sid).toString('base64'));
});

test('a full store takes no more', async () => {
  for (let i = 0; i < 10; i++) await login();
  const last = (await store.list())[0];
  expect(last && (await store.insert({ ...last, key: keyOf(randomBytes(32)) }))).toBe(false);
});

test("the hash of ocserv's user names is lookup3, with its published values", () => {
  expect(lookup3(Buffer.from(''))).toBe(0xdeadbeef);
  expect(lookup3(Buffer.from('Four score and seven years ago'))).toBe(0x17770551);
  expect(
    new Set(['a'.repeat(12), 'a'.repeat(13), 'ä'.repeat(6)].map((name) => lookup3(Buffer.from(name)))).size,
  ).toBe(3);
});

test('predictable-ips: one seed per user, otherwise random', () => {
  expect(ipv4Seed('alice', true)).toBe(ipv4Seed('alice', true));
  expect(ipv4Seed('alice', true)).not.toBe(ipv4Seed('bob', true));
  const seeds = new Set(Array.from({ length: 8 }, () => ipv4Seed('alice', false)));
  expect(seeds.size).toBeGreaterThan(1);
});

test("a user's file counts when the session starts, and a malformed one rejects it", async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ocvpn-session-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  configure({ 'config-per-user': directory });
  writeFileSync(join(directory, 'alice'), 'dpd = 7\nsession-timeout = 50\n');
  const sid = await login();
  expect((await open(sid)).session?.config).toMatchObject({ dpdSec: 7, sessionTimeoutSec: 50 });
  now += 50;
  expect(await open(sid)).toMatchObject({ reply: 'FAILED', reason: 'session-timeout has passed' });
  now = START;
  writeFileSync(join(directory, 'alice'), 'dpd = often\n');
  expect(await open(sid)).toMatchObject({ reply: 'FAILED', reason: 'there is no configuration for it' });
  writeFileSync(join(directory, 'alice'), '');
  expect(await isGood(sid)).toBe(true);
});
