/**
 * Tunnels, cookies and accounting that outlive the processes around them: main and secmod are killed, left and started
 * again while the stock client pings through its tunnel 50 times a second. Ours only: ocserv ends everything.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readHistory } from '../../src/core/history/read.js';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { dataFolder, serveOcvpn, statusOf } from '../support/ocvpn.ts';
import { connect, fetchCookie, startClient } from '../support/openconnect.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { expectNothingLost, ping, pinging, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const onlyUser = async (server: VpnServer) => {
  const users = await server.users();
  return users.length === 1 ? users[0] : undefined;
};

/** The session of before is there again, under its id, and its counters have caught up. */
async function expectAdopted(server: VpnServer, before: Awaited<ReturnType<typeof onlyUser>>): Promise<void> {
  const { id, name, device, ipv4, ipv6, remote, workerPid, tlsCipher, mtu } = before ?? {};
  const after = await until('the session to be adopted', async () => await onlyUser(server));
  expect(after).toMatchObject({ id, name, device, ipv4, ipv6, remote, workerPid, tlsCipher, mtu });
  expect(after.bytesFromClient).toBeGreaterThanOrEqual(before?.bytesFromClient ?? 0);
}

async function kill(lab: Lab, role: 'main' | 'secmod'): Promise<void> {
  const { pid, secmodPid } = await statusOf(lab);
  const victim = role === 'main' ? pid : secmodPid;
  if (!victim) throw new Error(`no ${role}`);
  process.kill(victim, 'SIGKILL');
  await until(`${role} to be gone`, () => {
    try {
      // A killed child stays in the table until its parent looks.
      return /^State:\s+Z/m.test(readFileSync(`/proc/${victim}/status`, 'utf8'));
    } catch {
      return true;
    }
  });
}

test.for([
  ['TLS', ['--no-dtls']],
  ['DTLS', []],
] as const)(
  'kill -9 of main under a tunnel over %s: nothing is lost, the session is adopted',
  async ([, args]) => {
    const lab = await openLab();
    const server = await startServer(lab, 'ocvpn');
    const client = await connect(lab, server, { args });
    if (args.length === 0) await client.dtls();
    const running = await pinging(client);
    const before = await onlyUser(server);
    await kill(lab, 'main');
    await running.waitFor(/icmp_seq=\d+ /, { from: running.output.length });
    const again = await serveOcvpn(lab);
    await expectAdopted(server, before);
    await expectNothingLost(running);
    expect(client.events().map(({ reason }) => reason)).not.toContain('reconnect');
    expect(again.output).not.toMatch(/"level":(50|60)/);
    // The adopted session is a session like any other: it can be ended.
    expect(await server.disconnectUser('alice')).toBe(true);
    await client.process.ended();
    await until('no session to be left', async () => (await server.users()).length === 0);
  },
);

test('kill -9 of secmod: nothing is lost, cookies stay good, the next secmod knows the session', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn');
  const unused = await fetchCookie(lab, server, { on: 1, user: 'carol', password: 'carols' });
  const client = await connect(lab, server);
  const running = await pinging(client);
  await kill(lab, 'secmod');
  await server.process.waitFor(/secmod is back/);
  await expectNothingLost(running);
  await connect(lab, server, { on: 1, cookie: unused });
  expect((await server.users()).map(({ name }) => name).sort()).toEqual(['alice', 'carol']);
  // A reconnect asks secmod for the session that it had before.
  client.process.signal('SIGUSR2');
  await client.event('reconnect');
  await reachable(client.host, inside.host4);
  expect(await server.users()).toHaveLength(2);
});

test('kill -9 of both at once: nothing is lost, and terminate still ends the session for good', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const cookie = await fetchCookie(lab, server);
  const client = await connect(lab, server, { cookie });
  const running = await pinging(client);
  const before = await onlyUser(server);
  const { pid, secmodPid } = await statusOf(lab);
  for (const victim of [pid, secmodPid ?? 0]) process.kill(victim, 'SIGKILL');
  await server.process.ended();
  await serveOcvpn(lab);
  await expectAdopted(server, before);
  await expectNothingLost(running);
  expect(await server.disconnectUser('alice')).toBe(true);
  await client.process.ended();
  expect((await startClient(lab, server, { cookie }).process.ended()).code).not.toBe(0);
});

test('SIGUSR2 leaves main without touching tunnels; SIGTERM of the next one ends everything', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const client = await connect(lab, server);
  await client.dtls();
  const running = await pinging(client);
  const before = await onlyUser(server);
  for (const round of [1, 2]) {
    const main = round === 1 ? server.process : await serveOcvpn(lab);
    await expectAdopted(server, before);
    main.signal('SIGUSR2');
    expect(await main.ended()).toEqual({ code: 0, signal: null });
  }
  const last = await serveOcvpn(lab);
  await expectAdopted(server, before);
  await expectNothingLost(running);
  last.signal('SIGTERM');
  expect(await last.ended()).toEqual({ code: 0, signal: null });
  await client.process.ended();
  expect(client.process.output).toMatch(/server disconnect|Session terminated/i);
  const pids = async () =>
    (await lab.server.must(['sh', '-c', 'ip netns pids "$(ip netns identify)"'])).trim();
  await until('no process to be left', async () => !/\bworker|secmod/.test(await names(await pids())));
});

const names = async (pids: string): Promise<string> =>
  pids
    .split('\n')
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    })
    .join('\n');

test('the addresses of a lost client wait for it, in spite of a restart of main', async () => {
  const lab = await openLab({ clients: 2 });
  // 10.99.0.0/30 has one address for clients.
  const server = await startServer(lab, 'ocvpn', {
    options: { 'ipv4-network': '10.99.0.0/30', 'ipv6-network': '', 'predictable-ips': false },
  });
  const cookie = await fetchCookie(lab, server);
  const client = await connect(lab, server, { cookie });
  await client.end('SIGKILL');
  await until('the tunnel to end', async () => (await server.users()).length === 0);
  await kill(lab, 'main');
  await serveOcvpn(lab);
  const other = startClient(lab, server, { on: 1, user: 'carol', password: 'carols' });
  expect((await other.process.ended()).code).not.toBe(0);
  const again = await connect(lab, server, { cookie });
  expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
});

test('a client that logs out while no main is there is not forgotten: its cookie is dead', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const cookie = await fetchCookie(lab, server);
  const client = await connect(lab, server, { cookie });
  await reachable(client.host, inside.host4);
  await kill(lab, 'main');
  await client.end('SIGINT');
  const again = await serveOcvpn(lab);
  await again.waitFor(/session closed.*user-disconnect|user-disconnect.*session closed/);
  expect((await startClient(lab, server, { cookie }).process.ended()).code).not.toBe(0);
});

test('accounting is exact against the tun device, across a restart of main and a reconnect', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const client = await connect(lab, server, { args: ['--no-dtls'] });
  await reachable(client.host, inside.host4);
  await kill(lab, 'main');
  expect(await ping(client.host, inside.host4, { count: 20, size: 700 })).toEqual({ sent: 20, received: 20 });
  await serveOcvpn(lab);
  const { device } = await until('the session to be adopted', async () => await onlyUser(server));
  expect(await ping(client.host, inside.host4, { count: 20, size: 300 })).toEqual({ sent: 20, received: 20 });
  const counted = await deviceCounters(lab, device);
  client.process.signal('SIGUSR2');
  await client.event('reconnect');
  const history = () => readHistory(`${dataFolder(lab)}/history.db`, { limit: 10, user: 'alice' });
  const rows = await until('the first tunnel to end', () => {
    const found = history();
    return found.length === 2 && found[1]?.disconnected !== null ? found : undefined;
  });
  expect(rows[1]).toMatchObject(counted);
  expect(rows[0]).toMatchObject({ disconnected: null, session: rows[1]?.session, ipv4: rows[1]?.ipv4 });
  await client.end('SIGINT');
  await until('the second tunnel to end', () => history()[0]?.reason === 'user-disconnect');
});

/** What the kernel has counted on a tun device of the server: what it received came from the client. */
async function deviceCounters(lab: Lab, device: string) {
  const [link] = JSON.parse(await lab.server.must(['ip', '-j', '-s', 'link', 'show', device])) as [
    { stats64: Record<'rx' | 'tx', { bytes: number; packets: number }> },
  ];
  const { rx, tx } = link.stats64;
  return { bytesIn: rx.bytes, packetsIn: rx.packets, bytesOut: tx.bytes, packetsOut: tx.packets };
}
