/** Debian's occtl against our control socket, every command of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Lab, openLab } from '../support/lab.ts';
import { authenticate, connect } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const golden = (name: string) => {
  const folder = join(import.meta.dirname, '../golden/recordings/ocserv-1.1.6');
  return readFileSync(join(folder, name), 'utf8');
};

async function startWithOcctl(lab: Lab) {
  const socket = `${lab.folder}/occtl.sock`;
  const server = await startServer(lab, 'ocvpn', {
    options: {
      'use-occtl': true,
      'occtl-socket-file': socket,
      'max-ban-score': 80,
      'ban-points-wrong-password': 100,
      dns: ['10.10.0.2'],
      compression: true,
      'rx-data-per-sec': 400_000,
      'tx-data-per-sec': 800_000,
      'restrict-user-to-ports': 'tcp(443), udp(53), icmp()',
      'restrict-user-to-routes': true,
    },
  });
  return { server, occtl: (...words: string[]) => lab.server.run(['occtl', '-n', '-s', socket, ...words]) };
}

/** Keys of a JSON text of occtl, which is not always JSON. */
const keys = (text: string): string[] => [
  ...new Set([...text.matchAll(/^\s*"([^"]+)":/gm)].map(([, key = '']) => key)),
];

test('every command of occtl 1.1.6 works', async () => {
  const lab = await openLab();
  const { server, occtl } = await startWithOcctl(lab);
  const client = await connect(lab, server);
  await client.dtls();
  const [user] = await server.users();
  const id = String(user?.id);
  await until('the DTLS cipher to be known', async () => (await server.users())[0]?.dtlsCipher !== '');

  const status = await occtl('show', 'status');
  expect(status).toMatchObject({ code: 0 });
  expect(status.stdout).toMatch(/Status: online[\s\S]*Server PID: \d+\n[\s\S]*Active sessions: 1\n/);
  const latency = /latency/;
  expect(keys((await occtl('-j', 'show', 'status')).stdout)).toEqual(
    expect.arrayContaining(keys(golden('occtl-show-status.json')).filter((key) => !latency.test(key))),
  );

  const users = await occtl('show', 'users');
  expect(users.stdout.split('\n')[0]).toBe(golden('occtl-show-users.txt').split('\n')[0]);
  expect(users.stdout).toMatch(/alice +default .*vpns0 .*\(AES-256-GCM\) connected/);
  const absent = /NBNS|No-routes|Split-DNS/;
  for (const words of [['users'], ['user', 'alice'], ['id', id]]) {
    const { code, stdout } = await occtl('-j', 'show', ...words);
    expect({ words, code, stdout }).toMatchObject({ code: 0 });
    const [shown] = JSON.parse(stdout) as Record<string, string | number>[];
    expect(shown).toMatchObject({ ID: Number(id), Username: 'alice', State: 'connected', Device: 'vpns0' });
    expect(shown).toMatchObject({ IPv4: user?.ipv4, IPv6: user?.ipv6, 'P-t-P IPv4': '10.99.0.1' });
    const expected = keys(golden('occtl-show-user-alice.json')).filter((key) => !absent.test(key));
    expect(keys(stdout)).toEqual(expect.arrayContaining(expected));
  }
  expect((await occtl('show', 'id', id)).stdout).toMatch(
    /Restricted to ports: tcp\(443\), udp\(53\), icmp\(\)/,
  );
  const block = (await occtl('show', 'user', 'alice')).stdout;
  expect(block).toMatch(/Limit RX: 400\.0 KB\/sec {3}TX: 800\.0 KB\/sec/);
  expect(block).toMatch(/CSTP compression: oc-lz4 {3}DTLS compression: oc-lz4/);
  expect((await occtl('show', 'user', 'nobody')).code).not.toBe(0);

  for (const which of ['all', 'valid']) {
    expect((await occtl('show', 'sessions', which)).stdout).toMatch(/alice +default .* authenticated/);
  }
  expect((await occtl('show', 'iroutes')).code).toBe(0);
  expect((await occtl('show', 'ip', 'ban', 'points')).stdout).toMatch(/10\.\d+\.\d+\.\d+ +\d+/);
  expect((await occtl('show', 'ip', 'bans')).code).toBe(0);
  const points = (await occtl('-j', 'show', 'ip', 'ban', 'points')).stdout;
  const [banned] = JSON.parse(points) as { IP: string }[];
  expect((await occtl('unban', 'ip', banned?.IP ?? '')).stdout).toBe(`IP '${banned?.IP}' was unbanned\n`);
  expect((await occtl('unban', 'ip', '192.0.2.99')).code).toBe(1);
  expect((await occtl('reload')).stdout).toBe(golden('occtl-reload.txt'));
  expect(await server.users()).toHaveLength(1);

  expect((await occtl('disconnect', 'id', '999999')).code).toBe(1);
  const events = lab.server.start('events', [
    process.execPath,
    launcher,
    'ctl',
    'show',
    'events',
    '--run-dir',
    `${lab.folder}/run`,
  ]);
  // It writes to a pipe in blocks otherwise.
  const stock = lab.server.start('occtl', [
    'stdbuf',
    '-oL',
    'occtl',
    '-s',
    `${lab.folder}/occtl.sock`,
    'show',
    'events',
  ]);
  await until('both to listen', async () => {
    const sockets = await lab.server.must(['ss', '-Hxn']);
    return ['occtl.sock', 'ctl.sock'].every((name) =>
      sockets.includes(`${lab.folder}/${name === 'ctl.sock' ? 'run/' : ''}${name}`),
    );
  });
  expect((await occtl('disconnect', 'user', 'alice')).stdout).toBe(golden('occtl-disconnect-user.txt'));
  await client.process.ended();
  await events.waitFor(/default: disconnected user 'alice' \(\d+\) \(reason: server-disconnect, time: /);
  await stock.waitFor(/disconnect.*'alice'/);
  await until('nobody to be left', async () => (await server.users()).length === 0);
  expect((await authenticate(lab, server, { password: 'wrong' })).code).not.toBe(0);
  const bans = await until('the ban', async () => {
    const { stdout } = await occtl('show', 'ip', 'bans');
    return stdout !== '' && stdout;
  });
  expect(bans).toMatch(/^ *IP +score[\s\S]*\n +10\.70\.0\.2 +\d{3} /);
  expect(JSON.parse((await occtl('-j', 'show', 'ip', 'bans')).stdout)).toMatchObject([{ IP: '10.70.0.2' }]);
  expect((await occtl('stop', 'now')).stdout).toBe(golden('occtl-stop-now.txt'));
  expect(await server.process.ended()).toMatchObject({ code: 0 });
});
