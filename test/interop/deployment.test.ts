/**
 * The roles started one by one from the systemd units of deploy/systemd, with the units' users and capabilities and with
 * sockets as systemd passes them; what they tell their service manager; the stock client through all of it. Ours only.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { runFolder, serveCommand, statusOf } from '../support/ocvpn.ts';
import { connect, startClient } from '../support/openconnect.ts';
import type { Companion } from '../support/process.ts';
import { startServer } from '../support/server.ts';
import { iperfServer, ping, throughput } from '../support/traffic.ts';
import { type StartedUnit, startUnit } from '../support/units.ts';
import { until } from '../support/wait.ts';

const whole = { sent: 5, received: 5 };
const bit = (number: number): bigint => 1n << BigInt(number);
/** linux/capability.h: CHOWN, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_ADMIN, NET_RAW. */
const MAIN_CAPABILITIES = [0, 5, 6, 7, 8, 10, 12, 13].map(bit).reduce((all, one) => all | one);

function capabilitiesOf(pid: number): bigint {
  const [, set = '0'] = /^CapBnd:\s*(\w+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return BigInt(`0x${set}`);
}

async function main(lab: Lab, variant?: string): Promise<StartedUnit> {
  const started = await startUnit(lab, 'vpn.service', { socket: 'vpn.socket', ...(variant && { variant }) });
  await started.process.waitFor(/vpn is ready/);
  await started.notified?.waitFor(/READY=1/);
  return started;
}

test('secmod, main and sockets by themselves: a tunnel with DTLS, and what the manager hears', async () => {
  const lab = await openLab();
  let secmod: StartedUnit | undefined;
  let first: StartedUnit | undefined;
  const server = await startServer(lab, 'ocvpn', {
    options: { 'server-drain-ms': 300 },
    launch: async () => {
      secmod = await startUnit(lab, 'vpn-secmod.service');
      await secmod.notified?.waitFor(/READY=1/);
      first = await main(lab);
      return first.process;
    },
  });
  const { pid, secmodPid } = await statusOf(lab);
  expect(secmodPid).toBe(secmod?.process.pid);
  expect([capabilitiesOf(pid), capabilitiesOf(secmodPid ?? 0)]).toEqual([MAIN_CAPABILITIES, 0n]);

  for (const family of [4, 6] as const) {
    const client = await connect(lab, server, { family });
    await client.dtls();
    expect(await ping(client.host, inside.host4)).toEqual(whole);
    if (family === 4) {
      await iperfServer(lab);
      expect(await throughput(client.host, 'down')).toBeGreaterThan(0);
    }
    await client.end('SIGINT');
  }

  const heard = first?.notified;
  await heard?.waitFor(/^WATCHDOG=1$/m, { timeoutMs: 40_000 });
  process.kill(pid, 'SIGHUP');
  await heard?.waitFor(/^RELOADING=1 \| MONOTONIC_USEC=\d+\nREADY=1$/m);
  first?.process.signal('SIGTERM');
  expect((await first?.process.ended())?.code).toBe(0);
  expect(heard?.output).toMatch(/STOPPING=1 \| STATUS=ending sessions\n$/);
  // secmod is not main's to end.
  expect(secmod?.process.exit).toBeUndefined();
  secmod?.process.signal('SIGTERM');
  await secmod?.process.ended();
  expect(secmod?.notified?.output).toMatch(/STOPPING=1[^\n]*\n$/);
});

test('main leaves and starts again under a tunnel, and the sockets stay open meanwhile', async () => {
  const lab = await openLab({ clients: 2 });
  let unit: StartedUnit | undefined;
  const server = await startServer(lab, 'ocvpn', {
    launch: async () => {
      const secmod = await startUnit(lab, 'vpn-secmod.service');
      await secmod.notified?.waitFor(/READY=1/);
      unit = await main(lab);
      return unit.process;
    },
  });
  const client = await connect(lab, server);
  const before = await statusOf(lab);
  // Waits in the backlog if it comes while nobody accepts.
  const second = startClient(lab, server, { on: 1, user: 'carol', password: 'carols' });
  process.kill(before.pid, 'SIGUSR2');
  await unit?.process.waitFor(/^service ended: 0$/m);
  expect(unit?.notified?.output).toMatch(/^STOPPING=1 \| STATUS=leaving to the next server$/m);
  await unit?.process.waitFor(/vpn is ready[\s\S]*vpn is ready/);
  await second.connected();
  // The worker of the first tunnel comes to the new main when it has noticed it.
  const both = await until('both sessions', async () => {
    const users = await server.users();
    return users.length === 2 && users;
  });
  expect(both.map(({ name }) => name).sort()).toEqual(['alice', 'carol']);
  for (const each of [client, second]) expect(await ping(each.host, inside.host4)).toEqual(whole);
  expect(client.events().map(({ reason }) => reason)).not.toContain('reconnect');
  expect((await statusOf(lab)).pid).not.toBe(before.pid);
});

test('a process per connection, accepted by the manager', async () => {
  const lab = await openLab();
  const variant = 'one-process-per-connection';
  const server = await startServer(lab, 'ocvpn', {
    launch: async () => {
      const secmod = await startUnit(lab, 'vpn-secmod.service');
      await secmod.notified?.waitFor(/READY=1/);
      const { process } = await main(lab, variant);
      const acceptor = await startUnit(lab, 'vpn-worker@.service', { socket: 'vpn-worker.socket', variant });
      await acceptor.process.waitFor(/listening/);
      return process;
    },
  });
  const client = await connect(lab, server);
  await client.dtls();
  expect(await ping(client.host, inside.host4)).toEqual(whole);
  const [user] = await server.users();
  expect(user?.remote).toBe('10.70.0.2');
  const status = readFileSync(`/proc/${user?.workerPid}/status`, 'utf8');
  expect(status).toMatch(/^Uid:\t65534\t65534/m);
  expect(status).toMatch(/^CapBnd:\t0+$/m);
  await client.end('SIGINT');
  await until('the worker to end', () => !isThere(user?.workerPid ?? 0));
});

function isThere(pid: number): boolean {
  try {
    // A child that nobody has waited for is there no more.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** What podman gives a container's root, and NET_ADMIN, as docs/deployment.md says. */
const CONTAINER_CAPABILITIES =
  '-all,+chown,+dac_override,+fowner,+fsetid,+kill,+net_bind_service,+setfcap,+setgid,+setpcap,+setuid,+net_admin';

/** Starts main with no more rights than in a container, where the kernel's switches are read-only. */
async function serveContained(lab: Lab): Promise<Companion> {
  const mounts = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"';
  const command = ['setpriv', `--bounding-set=${CONTAINER_CAPABILITIES}`, ...serveCommand(lab)];
  const main = lab.server.start('vpn', ['sh', '-c', mounts, 'sh', ...command, '--run-dir', runFolder(lab)]);
  await main.waitFor(/vpn is ready/);
  return main;
}

test('with the rights of a container it serves, and what cannot be served is refused with one sentence', async () => {
  const lab = await openLab();
  await lab.server.sysctl('net.ipv6.conf.all.forwarding=0');
  const server = await startServer(lab, 'ocvpn', { options: { nat: true }, launch: serveContained });
  const client = await connect(lab, server);
  expect(await ping(client.host, inside.host4)).toEqual(whole);
  expect(server.process.output).toMatch(/^vpn: notice: .*: net\.ipv6\.conf\.all\.forwarding=1\. Set them/m);
  const start = (sockets: string[], flags: string[]) =>
    lab.server.start('refused', [
      'python3',
      'test/support/service-manager.py',
      'pass',
      ...sockets,
      '--',
      ...serveCommand(lab, `${lab.folder}/other-data`),
      ...flags,
    ]);
  const tcp = start(['tcp:444'], ['--no-workers', '--run-dir', `${lab.folder}/other`]);
  expect((await tcp.ended()).code).toBe(1);
  expect(tcp.output).toMatch(
    /^vpn: Descriptor 3 \(tcp\) from the service manager cannot be used: with --no-workers .*$/m,
  );
  const udp = start(['udp:444'], ['--udp-port', '0', '--run-dir', `${lab.folder}/other`]);
  expect((await udp.ended()).code).toBe(1);
  expect(udp.output).toMatch(
    /^vpn: Descriptor 3 \(udp\) from the service manager cannot be used: udp-port is 0/m,
  );
});
