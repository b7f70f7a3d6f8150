/** The process split: who holds what, and what the end of one role means for the others. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { secretsIn, secretsOf } from '../support/memory.ts';
import { connect, fetchCookie } from '../support/openconnect.ts';
import { must } from '../support/process.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { ping, reachable, transfer, transferServer } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const whole = { sent: 5, received: 5 };

/** Pids of a role of the server. */
async function pidsOf(lab: Lab, role: 'worker' | 'secmod'): Promise<number[]> {
  const pids = (await must(['ip', 'netns', 'pids', lab.server.namespace])).trim().split('\n').map(Number);
  return pids.filter((pid) => {
    // A process that has just ended has no file.
    if (!existsSync(`/proc/${pid}/cmdline`)) return false;
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.some((word) => /(run\.js|worker\.cjs)$/.test(word)) && words.includes(role);
  });
}

async function workersOf(server: VpnServer): Promise<number[]> {
  return (await server.users()).map((user) => user.workerPid ?? 0);
}

test.for(['rsa', 'ecdsa'] as const)('the private key (%s) is in secmod only', async (key) => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', { keys: [key], options: { 'spare-workers': 1 } });
  for (const [on, version] of ['1.2', '1.3'].entries()) {
    const args = [`--gnutls-priority=NORMAL:-VERS-ALL:+VERS-TLS${version}:+VERS-DTLS1.2`];
    const client = await connect(lab, server, { on, args });
    expect(await ping(client.host, inside.host4)).toEqual(whole);
  }
  const wanted = secretsOf(key, readFileSync(`${lab.folder}/${key}-key.pem`));
  const workers = await pidsOf(lab, 'worker');
  expect(workers).toEqual(expect.arrayContaining(await workersOf(server)));
  for (const pid of workers) expect(secretsIn(pid, wanted)).toEqual(new Set());
  expect(secretsIn(server.process.pid, wanted)).toEqual(new Set());
  const [secmod] = await pidsOf(lab, 'secmod');
  expect(secretsIn(secmod ?? 0, wanted).size).toBeGreaterThan(0);
});

test('a worker has no privileges', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  await connect(lab, server);
  // One that serves a client: a spare one may just have started.
  const [pid] = await workersOf(server);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  expect(status).toMatch(/^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
  expect(status).toMatch(/^Gid:\s+65534\s+65534\s+65534\s+65534$/m);
  expect(status).toMatch(/^Groups:\s*$/m);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) {
    expect(status).toMatch(new RegExp(`^${set}:\\s+0+$`, 'm'));
  }
  expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
});

test.for([1, 3])('worker-clients %i: three clients carry traffic', async (clientsPerWorker) => {
  const lab = await openLab({ clients: 3 });
  const server = await startServer(lab, 'ocvpn', {
    // A spare one that is up by then would get some of those that can share.
    options: { 'worker-clients': clientsPerWorker, 'spare-workers': clientsPerWorker === 1 ? 1 : 0 },
  });
  const clients = [];
  for (const on of [0, 1, 2])
    clients.push(await connect(lab, server, { on, args: on === 2 ? ['--no-dtls'] : [] }));
  expect(new Set(await workersOf(server)).size).toBe(clientsPerWorker === 1 ? 3 : 1);
  const far = await transferServer(lab);
  for (const { host } of clients) {
    expect(await ping(host, inside.host4)).toEqual(whole);
    await transfer(host, far, 'up');
    await transfer(host, far, 'down');
  }
  // One leaves, the others stay.
  await clients[0]?.end('SIGINT');
  await until('the first to be gone', async () => (await server.users()).length === 2);
  for (const { host } of clients.slice(1)) expect(await ping(host, inside.host4)).toEqual(whole);
});

test('a worker is killed: its client comes back by itself, the others notice nothing', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn');
  const first = await connect(lab, server, { on: 0 });
  const second = await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
  const victim = (await server.users()).find((user) => user.name === 'alice')?.workerPid;
  expect(victim).toBeGreaterThan(1);
  process.kill(victim ?? 0, 'SIGKILL');
  await first.event('reconnect', 1, 60_000);
  await reachable(first.host, inside.host4);
  expect(await ping(second.host, inside.host4)).toEqual(whole);
  expect(second.events().map((event) => event.reason)).not.toContain('reconnect');
  expect((await server.users()).map((user) => user.name).sort()).toEqual(['alice', 'carol']);
});

test('secmod is killed: tunnels live on, a new login works, the server is the same', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn');
  const client = await connect(lab, server, { on: 0 });
  const [before] = await pidsOf(lab, 'secmod');
  process.kill(before ?? 0, 'SIGKILL');
  expect(await ping(client.host, inside.host4)).toEqual(whole);
  await until('secmod to be back', async () => {
    const [now] = await pidsOf(lab, 'secmod');
    return now !== undefined && now !== before;
  });
  await until('a login to work', () => fetchCookie(lab, server, { on: 1 }), {
    timeoutMs: 30_000,
    everyMs: 500,
  });
  const second = await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
  expect(await ping(second.host, inside.host4)).toEqual(whole);
  expect(await ping(client.host, inside.host4)).toEqual(whole);
  expect(client.process.exit).toBeUndefined();
  expect(server.process.exit).toBeUndefined();
});
