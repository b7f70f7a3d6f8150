/** connect-, disconnect- and host-update-script, the firewall of restricted users, and networks behind clients. */

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { tally } from '../support/fault-tally.ts';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { runFolder, serveCommand } from '../support/ocvpn.ts';
import { connect, startClient } from '../support/openconnect.ts';
import type { Companion } from '../support/process.ts';
import { startServer } from '../support/server.ts';
import { ping, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

/** A script in the lab's folder; `$LAB` is that folder. Returns its path. */
function script(lab: Lab, name: string, body: string): string {
  const path = join(lab.folder, name);
  writeFileSync(path, `#!/bin/sh\nLAB='${lab.folder}'\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

const record = 'env > "$LAB/$REASON.new" && mv "$LAB/$REASON.new" "$LAB/$REASON.env"';

/** Variables that the script of this reason was given. */
async function variables(lab: Lab, reason: string): Promise<Record<string, string>> {
  const path = join(lab.folder, `${reason}.env`);
  await until(`the ${reason} script`, () => existsSync(path));
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2) as [string, string]));
}

/** Starts the server with a /run and a /var/log of its own, which hold empty files of logins. */
async function serveWithLoginFiles(lab: Lab): Promise<Companion> {
  for (const file of ['own-run/utmp', 'own-log/wtmp']) {
    mkdirSync(join(lab.folder, dirname(file)));
    writeFileSync(join(lab.folder, file), '');
  }
  const mounts = 'mount --bind "$0/own-run" /run && mount --bind "$0/own-log" /var/log && exec "$@"';
  const command = [...serveCommand(lab), '--run-dir', runFolder(lab)];
  const main = lab.server.start('vpn', ['sh', '-c', mounts, lab.folder, ...command]);
  await main.waitFor(/vpn is ready/);
  return main;
}

/** Records in a file of logins: type, pid, id, user, line, host, address. */
async function logins(lab: Lab, file: string): Promise<string[][]> {
  const lines = (await lab.server.must(['utmpdump', join(lab.folder, file)])).trim().split('\n');
  return lines.map((line) => [...line.matchAll(/\[(.*?)\s*\]/g)].map(([, field = '']) => field).slice(0, 7));
}

test('the scripts get what ocserv gives them, and utmp has the session', async () => {
  const lab = await openLab();
  const path = script(lab, 'record', record);
  const server = await startServer(lab, 'ocvpn', {
    launch: serveWithLoginFiles,
    options: {
      'use-utmp': true,
      'connect-script': path,
      'disconnect-script': path,
      'host-update-script': path,
      dns: ['10.10.0.2', 'fd10::2'],
    },
  });
  const client = await connect(lab, server, { user: 'bob', password: 'b0b & <sons> "quoted" 100%' });
  const [user] = await server.users();
  const common = {
    ID: String(user?.id),
    USERNAME: 'bob',
    GROUPNAME: 'staff',
    VHOST: 'default',
    DEVICE: 'vpns0',
    IP_REAL: user?.remote,
    IP_REMOTE: user?.ipv4,
    IPV6_REMOTE: user?.ipv6,
    IPV6_PREFIX: '128',
    OCSERV_ROUTES4: '10.10.0.0/255.255.255.0 ',
    OCSERV_DNS: '10.10.0.2 fd10::2 ',
    OCSERV_DNS6: 'fd10::2 ',
  };
  expect(await variables(lab, 'connect')).toMatchObject({ ...common, REASON: 'connect' });
  expect(await variables(lab, 'host-update')).toMatchObject({ ...common, REASON: 'host-update' });
  await ping(client.host, inside.host4);
  const begun = [
    '7',
    String(user?.workerPid).padStart(5, '0'),
    'pns0',
    'bob',
    'vpns0',
    user?.remote,
    user?.remote,
  ];
  expect(await logins(lab, 'own-run/utmp')).toEqual([begun]);
  await client.end('SIGINT');
  const gone = await variables(lab, 'disconnect');
  expect(gone).toMatchObject({ ...common, REASON: 'disconnect' });
  expect(Number(gone.STATS_BYTES_IN)).toBeGreaterThan(300);
  expect(gone.STATS_DURATION).toMatch(/^\d+$/);
  expect(gone.OCSERV_ALLOW_PORTS).toBeUndefined();
  const ended = ['8', begun[1], 'pns0', '', 'vpns0', '', '0.0.0.0'];
  expect(await logins(lab, 'own-run/utmp')).toEqual([ended]);
  expect(await logins(lab, 'own-log/wtmp')).toEqual([begun, ended]);
  const last = await lab.server.must(['last', '-f', join(lab.folder, 'own-log/wtmp')]);
  expect(last).toMatch(/^bob +vpns0 +10\.70\.0\.2 /m);
  expect(last).not.toMatch(/logged in|no logout/);
});

test('a script refuses, or hangs, and others are not held up', async () => {
  const lab = await openLab({ clients: 2 });
  const decide = 'case $USERNAME in alice) exit 3;; carol) sleep 100;; esac; exit 0';
  const server = await startServer(lab, 'ocvpn', {
    options: { 'connect-script': script(lab, 'decide', decide), 'script-timeout': 5 },
  });
  const slow = startClient(lab, server, { user: 'carol', password: 'carols' });
  await server.process.waitFor(/user logged in.*carol|carol.*logged in/);
  const quick = await connect(lab, server, { user: 'bob', password: 'b0b & <sons> "quoted" 100%', on: 1 });
  expect(slow.process.exit).toBeUndefined();
  await quick.end('SIGINT');
  const refused = startClient(lab, server, { user: 'alice', on: 1 });
  expect((await refused.process.ended()).code).not.toBe(0);
  expect((await slow.process.ended()).code).not.toBe(0);
  await server.process.waitFor(/did not end within 5 seconds/);
  await until('no session and no device', async () => {
    const links = await lab.server.must(['ip', '-br', 'link']);
    return (await server.users()).length === 0 && !links.includes('vpns');
  });
  tally('a script hangs', 1);
});

test('restricted users reach their routes and ports only; the table lives as long as the session', async () => {
  const lab = await openLab();
  await lab.server.nft('add table inet ocserv_vpns77\nadd table inet other_vpns77\n');
  const server = await startServer(lab, 'ocvpn', {
    options: {
      'restrict-user-to-routes': true,
      'restrict-user-to-ports': 'tcp(5001), icmp()',
      route: [inside.net4],
    },
  });
  const tables = () => lab.server.must(['nft', 'list', 'tables']);
  expect(await tables()).toBe('table inet other_vpns77\n');
  const client = await connect(lab, server, { args: ['--disable-ipv6'] });
  await reachable(client.host, inside.host4);
  expect(await tables()).toContain('table inet ocserv_vpns0\n');
  const listen = (port: number) =>
    lab.inner.start(`listener ${port}`, [
      process.execPath,
      '-e',
      `require('node:net').createServer((s) => s.end('hello')).listen(${port}, () => console.log('listening'))`,
    ]);
  for (const port of [5001, 5002]) await listen(port).waitFor(/listening/);
  const fetch = (port: number) => {
    const program = `const s = require('node:net').connect(${port}, '${inside.host4}');
      s.setTimeout(3000, () => process.exit(2)); s.on('error', () => process.exit(1)); s.on('data', () => process.exit(0));`;
    return client.host.run([process.execPath, '-e', program]);
  };
  expect((await fetch(5001)).code).toBe(0);
  expect((await fetch(5002)).code).toBe(1);
  // A route that is not the client's: the router's side of the server.
  await client.host.ip('route add 10.80.0.1/32 dev tun0');
  expect((await ping(client.host, '10.80.0.1')).received).toBe(0);
  await client.end('SIGINT');
  await until('the table to be gone', async () => (await tables()) === 'table inet other_vpns77\n');
});

test('networks behind a client are routed to it while it is connected, and told to the others', async () => {
  const lab = await openLab({ clients: 2 });
  mkdirSync(join(lab.folder, 'users'));
  writeFileSync(join(lab.folder, 'users', 'alice'), 'iroute = 192.168.77.0/24\niroute = fd77:1::/64\n');
  const server = await startServer(lab, 'ocvpn', {
    options: {
      'config-per-user': join(lab.folder, 'users'),
      'expose-iroutes': true,
      route: [inside.net4, inside.pool4],
    },
  });
  const client = await connect(lab, server);
  const other = await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
  expect(await lab.server.must(['ip', 'route', 'show', '192.168.77.0/24'])).toContain('dev vpns0');
  expect(await lab.server.must(['ip', '-6', 'route', 'show', 'fd77:1::/64'])).toContain('dev vpns0');
  await client.host.ip('address add 192.168.77.1/32 dev lo');
  await reachable(lab.inner, '192.168.77.1');
  await reachable(other.host, '192.168.77.1');
  expect((await client.host.must(['ip', 'route'])).includes('192.168.77.0/24')).toBe(false);
  await client.end('SIGINT');
  await until('the route to be gone', async () => {
    return (await lab.server.must(['ip', 'route', 'show', '192.168.77.0/24'])) === '';
  });
});

test('nat: what a user sends from another network than the pool is masqueraded, too', async () => {
  const lab = await openLab();
  mkdirSync(join(lab.folder, 'users'));
  writeFileSync(join(lab.folder, 'users', 'alice.yaml'), 'ipv4-network: 10.97.0.0/24\n');
  const server = await startServer(lab, 'ocvpn', {
    options: { 'config-per-user': join(lab.folder, 'users'), nat: true },
  });
  const client = await connect(lab, server);
  expect(await server.users()).toMatchObject([{ ipv4: expect.stringMatching(/^10\.97\.0\./) }]);
  // Only addresses of its own network can be answered.
  await lab.inner.ip('route del default');
  expect((await ping(client.host, inside.host4)).received).toBeGreaterThan(0);
});
