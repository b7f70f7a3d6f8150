/** The life of a session: its end by either side, its cookie, and how it goes on elsewhere. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changeClientAddress, cutOff, mend } from '../support/faults.ts';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { connect, fetchCookie, type Openconnect, startClient } from '../support/openconnect.ts';
import { forEachServer, startServer, type VpnServer } from '../support/server.ts';
import { ping, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const addresses = async (client: Openconnect, reason = 'connect') => {
  const env = await client.event(reason);
  return [env.INTERNAL_IP4_ADDRESS, env.INTERNAL_IP6_NETMASK];
};

/** A client whose cookie is known. */
async function connectByCookie(
  lab: Lab,
  server: VpnServer,
): Promise<{ cookie: string; client: Openconnect }> {
  const cookie = await fetchCookie(lab, server);
  return { cookie, client: await connect(lab, server, { cookie }) };
}

async function expectRejected(lab: Lab, server: VpnServer, cookie: string): Promise<void> {
  const again = startClient(lab, server, { cookie });
  expect((await again.process.ended()).code).not.toBe(0);
  expect(again.process.output).toMatch(/HTTP\/1\.1 401|Cookie was rejected|Cookie is no longer valid/);
}

forEachServer((kind) => {
  test('login and tunnel may be two processes: --cookieonly, then connect by cookie', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const { client } = await connectByCookie(lab, server);
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });

  test('SIGUSR2 reconnects with the same addresses and the same device on the client', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server);
    await client.dtls();
    const before = await addresses(client);
    const from = client.process.output.length;
    client.process.signal('SIGUSR2');
    expect(await addresses(client, 'reconnect')).toEqual(before);
    await client.dtls({ from });
    await reachable(client.host, inside.host4);
    expect(await ping(client.host, inside.host6)).toEqual({ sent: 5, received: 5 });
    expect(await server.users()).toHaveLength(1);
  });

  test('a killed client comes back by its cookie with the same addresses', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const { cookie, client } = await connectByCookie(lab, server);
    const before = await addresses(client);
    await client.end('SIGKILL');
    const again = await connect(lab, server, { cookie });
    expect(await addresses(again)).toEqual(before);
    expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });

  test('a client takes its session over while the old connection still looks alive', async () => {
    const lab = await openLab({ clients: 2 });
    const server = await startServer(lab, kind);
    const { cookie, client } = await connectByCookie(lab, server);
    const before = await addresses(client);
    await cutOff(lab);
    const again = await connect(lab, server, { cookie, on: 1 });
    expect(await addresses(again)).toEqual(before);
    expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    await mend(lab);
    const one = async () => (await server.users()).length === 1;
    await until('the old connection to be gone', one);
  });

  // With ocserv both have the address, and answers reach one of them.
  test.skipIf(kind === 'ocserv')('explicit-ipv4: the address follows its user to a new login', async () => {
    const lab = await openLab({ clients: 2 });
    mkdirSync(join(lab.folder, 'users'));
    writeFileSync(join(lab.folder, 'users', 'alice'), 'explicit-ipv4 = 10.99.0.77\n');
    const server = await startServer(lab, kind, {
      options: { 'config-per-user': join(lab.folder, 'users') },
    });
    const first = await connect(lab, server);
    const second = await connect(lab, server, { on: 1 });
    expect((await addresses(second))[0]).toBe('10.99.0.77');
    expect((await first.process.ended()).code).not.toBe(0);
    expect(await ping(second.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    // Its cookie is alive and keeps the address for whoever has it.
    await second.end('SIGKILL');
    const third = await connect(lab, server);
    expect((await addresses(third))[0]).toBe('10.99.0.77');
    await reachable(third.host, inside.host4);
  });

  test('SIGINT logs out: the cookie is dead', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const { cookie, client } = await connectByCookie(lab, server);
    expect((await client.end('SIGINT')).code).toBe(0);
    await until('the session to end', async () => (await server.users()).length === 0);
    await expectRejected(lab, server, cookie);
  });

  test('persistent-cookies: the cookie survives the logout', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'persistent-cookies': true } });
    const { cookie, client } = await connectByCookie(lab, server);
    await client.end('SIGINT');
    await until('the session to end', async () => (await server.users()).length === 0);
    const again = await connect(lab, server, { cookie });
    expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    await again.end('SIGINT');
    await until('the session to end', async () => (await server.users()).length === 0);
    // Nor does a cookie that is alive keep a user's predictable address from the user.
    const anew = await connect(lab, server);
    expect(await addresses(anew)).toEqual(await addresses(again));
  });

  test('SIGHUP detaches: the cookie stays usable', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const { cookie, client } = await connectByCookie(lab, server);
    const before = await addresses(client);
    await client.end('SIGHUP');
    await until('the tunnel to end', async () => (await server.users()).length === 0);
    expect(await addresses(await connect(lab, server, { cookie }))).toEqual(before);
  });

  test('disconnect by the administrator: the client ends, the cookie is dead', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const { cookie, client } = await connectByCookie(lab, server);
    expect(await server.disconnectUser('nobody-here')).toBe(false);
    expect(await server.disconnectUser('alice')).toBe(true);
    await client.process.ended();
    expect(client.process.output).toMatch(/server disconnect|Session terminated/i);
    expect(await server.users()).toEqual([]);
    await expectRejected(lab, server, cookie);
  });

  test('the server stops: the client ends, nothing is left of the tunnel', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server);
    const devices = () => lab.server.must(['ip', '-o', 'link', 'show']);
    expect(await devices()).toContain('vpns');
    await server.stop();
    await client.process.ended();
    expect(await devices()).not.toContain('vpns');
    expect((await lab.server.must(['ss', '-Hlntu'])).trim()).toBe('');
  });

  test('a client that moves to another address comes back with its inner addresses', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server, { args: ['--force-dpd=3'] });
    await client.dtls();
    const before = await addresses(client);
    const moved = await changeClientAddress(lab);
    expect(await addresses(client, 'reconnect').catch(() => 'no reconnect')).toEqual(before);
    await reachable(client.host, inside.host4, 40_000);
    const [user, ...others] = await server.users();
    expect(user?.remote).toBe(moved);
    expect(others).toEqual([]);
  });

  test('a client that slept until its session was given up comes back with its addresses', async () => {
    const lab = await openLab({ clients: 2 });
    const server = await startServer(lab, kind, { options: { dpd: 3 } });
    const client = await connect(lab, server);
    await client.dtls();
    const before = await addresses(client);
    client.process.signal('SIGSTOP');
    await until('the session to end', async () => (await server.users()).length === 0, {
      timeoutMs: 100_000,
      everyMs: 500,
    });
    const other = await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
    expect(await addresses(other)).not.toEqual(before);
    client.process.signal('SIGCONT');
    expect(await addresses(client, 'reconnect')).toEqual(before);
    await reachable(client.host, inside.host4);
    expect((await server.users()).map((user) => user.name).sort()).toEqual(['alice', 'carol']);
  });

  test('deny-roaming: a cookie is refused from another address', async () => {
    const lab = await openLab({ clients: 2 });
    const server = await startServer(lab, kind, { options: { 'deny-roaming': true } });
    const { cookie, client } = await connectByCookie(lab, server);
    await client.end('SIGHUP');
    const elsewhere = startClient(lab, server, { cookie, on: 1 });
    expect((await elsewhere.process.ended()).code).not.toBe(0);
    const again = await connect(lab, server, { cookie });
    expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });
});
