/** Input that no good client sends: the sender is turned away, everybody else notices nothing, no role ends. */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { tally } from '../support/fault-tally.ts';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { connect, type Openconnect } from '../support/openconnect.ts';
import { clientHello, sendRaw } from '../support/raw.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { ping, transfer, transferServer } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const whole = { sent: 5, received: 5 };
const POST = 'POST / HTTP/1.1\r\nHost: vpn\r\n';

/** A lab with a good client that stays connected; `unharmed` checks it and the server at the end. */
async function withGoodClient(options = {}): Promise<{
  lab: Lab;
  server: VpnServer;
  good: Openconnect;
  unharmed: () => Promise<void>;
}> {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', { options });
  const good = await connect(lab, server, { on: 1 });
  const far = await transferServer(lab);
  const unharmed = async (): Promise<void> => {
    expect(server.process.exit).toBeUndefined();
    expect(server.process.output).not.toMatch(/secmod is gone|"level":60/);
    expect(await ping(good.host, inside.host4)).toEqual(whole);
    await transfer(good.host, far, 'down');
    expect(good.events().map((event) => event.reason)).not.toContain('reconnect');
    expect((await server.users()).map((user) => user.remote)).toEqual(['10.70.1.2']);
  };
  return { lab, server, good, unharmed };
}

test('garbage instead of TLS, and connections that say nothing', async () => {
  const { lab, unharmed } = await withGoodClient({ 'auth-timeout': 4 });
  for (const chunks of [
    [randomBytes(64 * 1024)],
    ['GET / HTTP/1.0\r\n\r\n'],
    [Buffer.from('16030100', 'hex')],
    [Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), randomBytes(500)])],
    [],
  ]) {
    const { closed } = await sendRaw(lab, 'tcp', chunks, { holdMs: 20_000 });
    expect(closed).not.toBe('still open');
  }
  await unharmed();
});

test.for<[string, (string | Buffer)[]]>([
  ['garbage instead of HTTP', [randomBytes(4096)]],
  ['20 KB of headers', [`${POST}X-Pad: ${'a'.repeat(20 * 1024)}\r\n\r\n`]],
  ['a header that never ends', [`${POST}X-Pad: `, ...Array.from({ length: 400 }, () => 'b'.repeat(1024))]],
  ['a body of 300 KB', [`${POST}Content-Length: 307200\r\n\r\n`, 'c'.repeat(300 * 1024)]],
  ['a body that is announced with 10 GB', [`${POST}Content-Length: 10737418240\r\n\r\n`]],
  ['a negative length', [`${POST}Content-Length: -1\r\n\r\n`]],
  ['a request line of 10 KB', [`GET /${'d'.repeat(10 * 1024)} HTTP/1.1\r\nHost: vpn\r\n\r\n`]],
  ['two requests at once', ['GET / HTTP/1.1\r\nHost: vpn\r\n\r\nGET /auth HTTP/1.1\r\nHost: vpn\r\n\r\n']],
  [
    'both lengths of a smuggler',
    [`${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n`],
  ],
])('%s: closed, not served', async ([, chunks]) => {
  const { lab, unharmed } = await withGoodClient({ 'auth-timeout': 10 });
  const { closed, reply } = await sendRaw(lab, 'tls', chunks, { holdMs: 30_000 });
  expect(closed).not.toBe('still open');
  expect(reply).not.toMatch(/^HTTP\/1\.1 200/m);
  await unharmed();
});

test('a request line by line, slower than auth-timeout: closed in time', async () => {
  const { lab, unharmed } = await withGoodClient({ 'auth-timeout': 5 });
  const lines = Array.from({ length: 60 }, (_, n) => `X-Slow-${n}: ${n}\r\n`);
  const { closed, reply } = await sendRaw(lab, 'tls', [POST, ...lines], { everyMs: 500 });
  expect(closed).not.toBe('still open');
  expect(reply).not.toMatch(/^HTTP\/1\.1 200/);
  await unharmed();
});

test.for([
  ['no XML', 'hello'],
  ['cut off', '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="auth-re'],
  ['never closed', `<?xml version="1.0"?><config-auth>${'<auth>'.repeat(5000)}`],
  [
    'entities',
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><config-auth type="auth-reply"><auth><username>&d;</username></auth></config-auth>',
  ],
  [
    'a huge name',
    `<?xml version="1.0"?><config-auth type="auth-reply"><auth><username>${'u'.repeat(50_000)}</username><password>x</password></auth></config-auth>`,
  ],
  [
    'control characters',
    '<?xml version="1.0"?><config-auth type="auth-reply"><auth><username>a\u0000b\u0007</username><password>\u0000</password></auth></config-auth>',
  ],
] as const)('XML, %s: no login', async ([, body]) => {
  const { lab, unharmed } = await withGoodClient({ 'auth-timeout': 5 });
  const head = `POST /auth HTTP/1.1\r\nHost: vpn\r\nX-Aggregate-Auth: 1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const { reply, closed } = await sendRaw(lab, 'tls', [head + body], { holdMs: 20_000 });
  expect(reply).not.toMatch(/Set-Cookie: webvpn=[A-Za-z0-9+/]/);
  expect(closed).not.toBe('still open');
  await unharmed();
});

test('datagrams: garbage, half a hello, stray records, a hello with the id of a living tunnel', async () => {
  const { lab, good, unharmed } = await withGoodClient();
  await good.dtls();
  const id = /X-DTLS-App-ID: ([0-9a-f]{64})/.exec(good.process.output)?.[1] ?? '';
  const hello = clientHello(Buffer.from(id, 'hex'));
  const stray = Buffer.from('17fefd0001000000000001002000', 'hex');
  const datagrams = [
    randomBytes(1200),
    randomBytes(1),
    hello.subarray(0, 40),
    clientHello(randomBytes(32)),
    clientHello(Buffer.alloc(0)),
    Buffer.concat([stray, randomBytes(31)]),
    stray,
    hello,
    hello,
  ];
  for (let round = 0; round < 3; round += 1) {
    // From another address, and from the good client's own.
    await sendRaw(lab, 'udp', datagrams, { on: round % 2, everyMs: 5, holdMs: 500 });
  }
  await unharmed();
});

test('a client that stops reading: its memory is bounded, its session ends, others are served', async () => {
  const { lab, server, unharmed } = await withGoodClient();
  const deaf = await connect(lab, server, { user: 'carol', password: 'carols', args: ['--no-dtls'] });
  const user = (await server.users()).find(({ name }) => name === 'carol');
  const memory = (): number => {
    const status = readFileSync(`/proc/${user?.workerPid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  };
  const before = memory();
  deaf.process.signal('SIGSTOP');
  // The far end sends 15 MB at most, which the client does not read.
  lab.inner.start('flood', ['ping', '-n', '-q', '-f', '-c', '12000', '-s', '1300', user?.ipv4 ?? '']);
  let most = before;
  await until(
    'the deaf session to end',
    async () => {
      if (!(await server.users()).some(({ name }) => name === 'carol')) return true;
      most = Math.max(most, memory());
      return false;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
  expect(most - before).toBeLessThan(32 * 1024);
  await unharmed();
  tally('a client never reads', 1);
});
