/** Options that act in main and secmod, with the stock client; several in one server where they do not disturb each other. */
import { expect, test } from 'vitest';
import { type Host, inside, openLab, outside } from '../support/lab.ts';
import { connect } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { ping, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

/** Waits for packets that come from the server at a client and fit the filter. */
async function packets(host: Host, filter: string, count = 3) {
  const from = `src host ${outside.server4} and ${filter}`;
  const dump = host.start('tcpdump', ['tcpdump', '-i', 'wan0', '-n', '-l', '-c', String(count), from]);
  await dump.waitFor(/listening on/);
  return dump;
}

test('ping-leases: an address that answers is not leased', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', { options: { 'ping-leases': true } });
  const before = (await connect(lab, server)).process;
  const [first] = await server.users();
  before.signal('SIGINT');
  await before.ended();
  // predictable-ips would give the same address again, but somebody has it now.
  const taken = first?.ipv4 ?? '';
  await lab.inner.ip(`address add ${taken}/32 dev lo`);
  await until('the device to be gone', async () => {
    const route = await lab.server.run(['ip', 'route', 'replace', `${taken}/32`, 'via', inside.host4]);
    return route.code === 0 && !(await lab.server.must(['ip', 'route', 'get', taken])).includes('vpns');
  });
  await connect(lab, server);
  const [second] = await server.users();
  expect(second?.ipv4).toMatch(/^10\.99\.0\./);
  expect(second?.ipv4).not.toBe(taken);
});

test('mobile clients have timers of their own; net-priority marks TCP, too', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', {
    options: {
      dpd: 61,
      'mobile-dpd': 602,
      'idle-timeout': 1000,
      'mobile-idle-timeout': 2000,
      keepalive: 77,
      'net-priority': 0x48,
    },
  });
  const dump = await packets(lab.client(0), 'tcp port 443 and ip[1] == 0x48');
  const desktop = await connect(lab, server, { args: ['--dump-http-traffic', '--no-dtls'] });
  await ping(desktop.host, inside.host4);
  expect((await dump.ended()).code).toBe(0);
  const phone = await connect(lab, server, {
    on: 1,
    user: 'carol',
    password: 'carols',
    args: ['--dump-http-traffic', '--os=android'],
  });
  const timers = (output: string) =>
    ['X-CSTP-DPD', 'X-CSTP-Idle-Timeout', 'X-CSTP-Keepalive'].map(
      (name) => new RegExp(`${name}: (\\S+)`, 'i').exec(output)?.[1],
    );
  expect(timers(desktop.process.output)).toEqual(['61', '1000', '77']);
  expect(timers(phone.process.output)).toEqual(['602', '2000', '77']);
});

test('match-tls-dtls-ciphers: DTLS has the cipher of TLS', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {
    options: { 'match-tls-dtls-ciphers': true, 'dtls-legacy': false },
  });
  const chacha = 'NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305';
  const client = await connect(lab, server, { args: [`--gnutls-priority=${chacha}`] });
  expect(await client.dtls()).toContain('CHACHA20-POLY1305');
  expect(await server.users()).toMatchObject([
    {
      tlsCipher: expect.stringContaining('CHACHA20-POLY1305'),
      dtlsCipher: expect.stringContaining('CHACHA20-POLY1305'),
    },
  ]);
});

test('cisco-client-compat: TLS 1.2, groups by URL, and DTLS as AnyConnect has it although dtls-legacy is off', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {
    options: {
      'cisco-client-compat': true,
      'dtls-legacy': false,
      'dtls-psk': false,
      'select-group': ['staff', 'tech[Technical people]'],
    },
  });
  const client = await connect(lab, server, { user: 'carol', password: 'carols', path: 'tech' });
  expect(await client.dtls()).toMatch(/^\(DTLS1\.2\)-\((?:ECDHE-)?RSA\)/);
  expect(await server.users()).toMatchObject([
    { group: 'tech', tlsCipher: expect.stringContaining('TLS1.2') },
  ]);
});

test('switch-to-tcp-timeout: the server goes on over TCP when UDP has been silent', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {
    options: { 'switch-to-tcp-timeout': 2, dpd: 600, keepalive: 600 },
  });
  const client = await connect(lab, server);
  await client.dtls();
  const address = (await client.event('connect')).INTERNAL_IP4_ADDRESS ?? '';
  await reachable(lab.inner, address);
  // Only what the client sends is lost, so it has no reason to doubt its UDP.
  await client.host.must([
    'nft',
    'add table inet mute; add chain inet mute out { type filter hook output priority 0; }',
  ]);
  await client.host.must(['nft', 'add rule inet mute out udp dport 443 drop']);
  const dump = await packets(client.host, 'tcp port 443 and greater 600');
  lab.inner.start('ping', ['ping', '-s', '600', '-i', '0.3', address]);
  expect((await dump.ended()).code).toBe(0);
});

/** Opens connections that say nothing; tells how many the server has closed, again and again. */
const silentConnections = (count: number): string[] => [
  process.execPath,
  '-e',
  `let closed = 0;
   for (let n = 0; n < ${count}; n++) {
     const socket = require('node:net').connect(443, '${outside.server4}');
     socket.on('error', () => {});
     socket.on('close', () => console.log('closed ' + ++closed));
   }`,
];

test('max-pending-per-address and rate-limit-ms: one address cannot keep others out', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', {
    options: { 'max-pending-per-address': 2, 'rate-limit-ms': 50, 'max-ban-score': 0 },
  });
  const crowd = lab.client(0).start('crowd', silentConnections(6));
  await crowd.waitFor(/closed 4/);
  await connect(lab, server, { on: 1 });
  expect(await server.users()).toHaveLength(1);
  expect(crowd.output).not.toContain('closed 5');
});
