/** CONNECT and what follows, with real TLS and a data plane that only answers. */
import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../src/core/native/index.js';
import { encodeCookie } from '../../src/core/wire/cookies.js';
import { identityOf, isOpen } from '../support/descriptors.js';
import { TlsClient } from '../support/tls-client.js';
import {
  type HarnessOptions,
  type Identity,
  makeIdentity,
  WorkerHarness,
} from '../support/worker-harness.js';

const COOKIE = new Uint8Array(32).fill(0x5a);
let identity: Identity;
let harness: WorkerHarness;

beforeAll(() => {
  identity = makeIdentity('ec');
});
afterEach(() => harness?.stop());

async function start(options: Partial<HarnessOptions> = {}): Promise<WorkerHarness> {
  const many = { 'worker-clients': 8, ...options.options };
  harness = await new WorkerHarness({ identity, ...options, options: many }).start();
  return harness;
}

function connectRequest(headers: readonly string[] = [], path = '/CSCOSSLC/tunnel'): string {
  const lines = [`CONNECT ${path} HTTP/1.1`, 'Host: h', `Cookie: webvpn=${encodeCookie(COOKIE)}`, ...headers];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
const USUAL = [
  'X-CSTP-Hostname: laptop.lan',
  'X-CSTP-Address-Type: IPv6,IPv4',
  'X-CSTP-Full-IPv6-Capability: true',
  'X-CSTP-Base-MTU: 1500',
  'X-DTLS-CipherSuite: PSK-NEGOTIATE',
];

async function open(headers: readonly string[] = USUAL): Promise<TlsClient> {
  const client = await TlsClient.connect(harness.port);
  client.send(connectRequest(headers));
  expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 200 CONNECTED\r\n/);
  return client;
}

describe('CONNECT', () => {
  it('opens the tunnel and tells main', async () => {
    await start();
    await open();
    expect(harness.received('AUTH_COOKIE_REQ')[0]).toMatchObject({
      cookie: COOKIE,
      hostname: 'laptop',
      ipv4: true,
      ipv6: true,
    });
    const [tunnel] = harness.dataplane.opened;
    expect(tunnel?.options).toMatchObject({
      dataMtu: 1434,
      dtls: { mode: 'psk' },
      dpdSec: 90,
      sessionTimeoutSec: 0,
      clientIpv4: '10.99.0.50',
      clientIpv6: { address: 'fd99::50', prefix: 128 },
    });
    await harness.until(() => harness.received('SESSION_INFO').length === 1);
    expect(harness.received('TUN_MTU')[0]).toMatchObject({ mtu: 1434 });
    expect(harness.received('SESSION_INFO')[0]).toMatchObject({
      tlsCiphersuite: expect.stringMatching(
        /^\(TLS1\.3\)-\([A-Z0-9-]+\)-\(ECDSA-SECP256R1-SHA256\)-\(AES-256-GCM\)$/,
      ),
      dtlsCiphersuite: '',
    });
  });

  it('hands on what the client sent behind the request', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(`${connectRequest(USUAL)}STF\u0001`);
    expect((await client.reply()).head).toMatch(/ 200 CONNECTED/);
    expect(harness.dataplane.opened[0]?.head.toString('latin1')).toBe('STF\u0001');
  });

  it.each([
    [
      'without a cookie',
      'CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\n\r\n',
      '503 Service Unavailable',
      'CONNECT without a valid cookie',
    ],
    [
      'with a cookie of 1000 characters',
      `CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\nCookie: webvpn=${'A'.repeat(1000)}\r\n\r\n`,
      '503 Service Unavailable',
      'CONNECT without a valid cookie',
    ],
    ['to another path', connectRequest([], '/other'), '404 Not found', 'no such page'],
  ])('%s is refused', async (_, request, status, reason) => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(request);
    expect((await client.reply()).head).toMatch(new RegExp(`^HTTP/1\\.1 ${status}\r\n`));
    await client.end();
    expect(await harness.failure()).toContain(reason);
    expect(harness.received('AUTH_COOKIE_REQ')).toEqual([]);
  });

  it('with a cookie that main refuses gives 401 and an alert', async () => {
    await start();
    harness.cookieReply = 'FAILED';
    const client = await TlsClient.connect(harness.port, 'TLSv1.2');
    client.send(connectRequest(USUAL));
    expect((await client.reply()).head).toBe(
      'HTTP/1.1 401 Cookie is not acceptable\r\nContent-Length: 0\r\n\r\n',
    );
    await client.end();
    expect(await harness.failure()).toContain('cookie refused: unknown cookie');
  });

  it('gives 503 when no address family is left, and the tun descriptor is closed', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(connectRequest(['X-CSTP-Address-Type: none']));
    expect((await client.reply()).head).toMatch(
      /^HTTP\/1\.1 503 Service Unavailable\r\nX-Reason: Server error\r\n/,
    );
    await client.end();
    expect(harness.dataplane.opened).toEqual([]);
    expect(harness.tuns.map(isOpen)).toEqual([false]);
  });

  it('uses the mobile values for a phone', async () => {
    await start({ session: [{}, { mobileIdleTimeoutSec: 50, idleTimeoutSec: 20 }] });
    await open([...USUAL, 'X-AnyConnect-Identifier-Platform: android']);
    expect(harness.dataplane.opened[0]?.options).toMatchObject({ dpdSec: 1800, idleTimeoutSec: 50 });
  });

  it('counts the session timeout from the login', async () => {
    const sessionStartTime = Math.floor(Date.now() / 1000) - 100;
    await start({ session: [{ sessionStartTime }, { sessionTimeoutSec: 3600 }] });
    await open();
    const remaining = harness.dataplane.opened[0]?.options.sessionTimeoutSec ?? 0;
    expect(remaining).toBeGreaterThan(3400);
    expect(remaining).toBeLessThanOrEqual(3500);
  });
});

describe('tunnel', () => {
  const counters = { rxBytes: 10, txBytes: 20, rxPackets: 1, txPackets: 2 };

  it('reports its end to main, which tells secmod', async () => {
    await start();
    await open();
    harness.dataplane.end(1, 'user-disconnect', counters);
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    expect(harness.received('CLIENT_CLOSED')[0]).toMatchObject({
      bytesIn: 10,
      bytesOut: 20,
      reason: 'user-disconnect',
      packetsIn: 1,
      packetsOut: 2,
    });
    expect(harness.log).toEqual([]);
  });

  it('reports DTLS and MTU', async () => {
    await start();
    await open();
    harness.dataplane.emit({
      type: 'dtls-up',
      id: 1,
      version: 'DTLSv1.2',
      cipher: 'PSK-AES256-GCM-SHA384',
      milliseconds: 5,
    });
    harness.dataplane.emit({ type: 'mtu', id: 1, mtu: 1300 });
    harness.dataplane.emit({ type: 'dtls-down', id: 1, detail: '' });
    await harness.until(() => harness.received('SESSION_INFO').length === 3);
    const suites = harness.received('SESSION_INFO').map(({ dtlsCiphersuite }) => dtlsCiphersuite);
    expect(suites).toEqual(['', '(DTLS1.2)-(PSK)-(AES-256-GCM)', '']);
    expect(harness.received('TUN_MTU').map(({ mtu }) => mtu)).toEqual([1434, 1300]);
  });

  it('signs for a rekey inside the tunnel', async () => {
    await start();
    await open();
    const signed = new Promise<void>((resolve) => {
      harness.dataplane.onSigned = resolve;
    });
    const data = Buffer.from('renegotiation');
    harness.dataplane.emit({ type: 'sign', id: 1, requestId: 5, keyIndex: 0, scheme: 0x0403, data });
    await signed;
    const [answer] = harness.dataplane.signed;
    expect(answer).toMatchObject({ id: 1, requestId: 5 });
    const publicKey = createPublicKey(identity.certificate);
    expect(verify('sha256', data, publicKey, answer?.signature ?? Buffer.alloc(0))).toBe(true);
  });

  it('refuses a rekey that secmod does not sign', async () => {
    await start();
    await open();
    const signed = new Promise<void>((resolve) => {
      harness.dataplane.onSigned = resolve;
    });
    harness.dataplane.emit({
      type: 'sign',
      id: 1,
      requestId: 6,
      keyIndex: 0,
      scheme: 0x0403,
      data: Buffer.alloc(2000),
    });
    await signed;
    expect(harness.dataplane.signed).toEqual([{ id: 1, requestId: 6, signature: null }]);
    expect(harness.log[0]?.msg).toContain('did not sign');
  });

  it('obeys TERMINATE', async () => {
    await start();
    await open();
    harness.main.send('TERMINATE', { client: 1, how: 'disconnect', reason: 'idle-timeout' });
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    expect(harness.dataplane.terminated).toEqual([{ id: 1, how: 'disconnect', reason: 'idle-timeout' }]);
  });

  it('ends a client without a tunnel at TERMINATE', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    harness.main.send('TERMINATE', { client: 1, how: 'drop', reason: 'server-disconnect' });
    await client.end();
    expect(await harness.failure()).toContain('ended by the server');
  });

  it('gets UDP sockets; one for nobody is closed', async () => {
    await start();
    await open();
    const [a, b] = native.io.socketpair();
    const identities = [a, b].map(identityOf);
    harness.main.send('UDP_FD', { client: 77, hello: true, data: Buffer.from('x') }, [a]);
    harness.main.send('UDP_FD', { client: 1, hello: true, data: Buffer.from('hello') }, [b]);
    harness.main.send('TERMINATE', { client: 1, how: 'drop', reason: 'unspecified' });
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    expect(harness.dataplane.attached).toEqual([{ id: 1, hello: true, datagram: Buffer.from('hello') }]);
    expect(identities.map(isOpen)).toEqual([false, false]);
  });

  it('closes a UDP socket that comes before the tunnel', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    const [a, b] = native.io.socketpair();
    native.io.close(b);
    const identity = identityOf(a);
    harness.main.send('UDP_FD', { client: 1, hello: true, data: Buffer.from('x') }, [a]);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await client.reply();
    expect(harness.dataplane.attached).toEqual([]);
    expect(isOpen(identity)).toBe(false);
  });
});

describe('process', () => {
  it.each([
    [1, 'pooled', true],
    [1, 'fresh', true],
    [1, 'none', false],
    [2, 'pooled', false],
  ])('worker-clients %i, session-process %s: a process for each tunnel: %s', async (many, how, expected) => {
    await start({ options: { 'worker-clients': many, 'session-process': how } });
    await open();
    expect(harness.dataplane.processes).toBe(expected);
    await harness.until(() => harness.received('SESSION_INFO').length === 1);
    expect(harness.received('SESSION_INFO')[0]).toMatchObject({ pid: harness.dataplane.pids + 1 });
  });

  it('that pools logins goes on after a client', async () => {
    await start({ options: { 'worker-clients': 1, 'session-process': 'pooled' } });
    await open();
    harness.dataplane.end(1, 'user-disconnect');
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    await open();
    expect(harness.dataplane.closed).toBe(false);
  });

  it.each(['fresh', 'none'])('with one client ends after it (session-process %s)', async (how) => {
    await start({ options: { 'worker-clients': 1, 'session-process': how } });
    await open();
    harness.dataplane.end(1, 'user-disconnect');
    await harness.worker.done;
    expect(harness.dataplane.closed).toBe(true);
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    expect(harness.received('SEC_CLI_STATS')).toEqual([]);
  });

  it('with many goes on', async () => {
    await start();
    await open();
    harness.dataplane.end(1, 'user-disconnect');
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    await open();
    expect(harness.dataplane.closed).toBe(false);
  });

  it('tells its clients at SIGTERM and ends', async () => {
    await start();
    await open();
    harness.worker.stop();
    await harness.worker.done;
    expect(harness.dataplane.terminated).toEqual([{ id: 1, how: 'disconnect', reason: 'server-disconnect' }]);
  });

  it('keeps its tunnels when main dies and ends with the last', async () => {
    await start();
    const tunnel = await open();
    const login = await TlsClient.connect(harness.port);
    harness.main.close();
    await login.end();
    expect(harness.dataplane.terminated).toEqual([]);
    expect(tunnel.socket.destroyed).toBe(false);
    const ended = once(tunnel.socket, 'close');
    harness.dataplane.end(1, 'user-disconnect', { rxBytes: 10, txBytes: 20, rxPackets: 1, txPackets: 2 });
    await harness.worker.done;
    await ended;
    const [last, ...others] = harness.received('SEC_CLI_STATS');
    expect(last).toMatchObject({ sid: COOKIE, bytesIn: 10, bytesOut: 20, discReason: 'user-disconnect' });
    expect(others).toEqual([]);
  });

  it('presents its tunnels to the next main and tells it everything again', async () => {
    await start();
    await open();
    const told = (name: string) => harness.received(name).length;
    await harness.until(() => told('SESSION_INFO') === 1);
    harness.main.close();
    await harness.until(() => told('CLI_STATS') === 1);
    expect(harness.received('WORKER_RESUME')).toMatchObject([
      { client: 1, open: true, ticket: new Uint8Array(64).fill(5) },
    ]);
    expect([told('TUN_MTU'), told('SESSION_INFO')]).toEqual([2, 2]);
    harness.dataplane.end(1, 'user-disconnect');
    await harness.until(() => told('CLIENT_CLOSED') === 1);
    await harness.worker.done;
  });

  it('drops a tunnel that the next main refuses', async () => {
    await start();
    await open();
    harness.resumeReply = 'FAILED';
    harness.main.close();
    await harness.until(() => harness.received('WORKER_RESUME').length === 1);
    await harness.worker.done;
    expect(harness.dataplane.terminated).toEqual([{ id: 1, how: 'drop', reason: 'server-disconnect' }]);
  });

  it('tells the next main of a tunnel that ended meanwhile', async () => {
    await start();
    await open();
    harness.main.close();
    await harness.until(() => harness.log.some(({ msg }) => msg.includes('main is gone')));
    harness.dataplane.end(1, 'user-disconnect');
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    await harness.worker.done;
    expect(harness.received('WORKER_RESUME')).toMatchObject([{ client: 1, open: false }]);
    expect(harness.received('CLIENT_CLOSED')).toMatchObject([{ client: 1, reason: 'user-disconnect' }]);
  });
});
