/**
 * The units of deploy/systemd under systemd itself: socket activation, readiness, reload, watchdog, stop, a worker for each
 * connection, and all hardening directives in force. Ours only.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { inside, openLab } from '../support/lab.ts';
import { bootMachine, type Machine, useDropIns } from '../support/machine.ts';
import { statusOf } from '../support/ocvpn.ts';
import { connect } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { ping } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const whole = { sent: 5, received: 5 };
const files = {
  'vpn/script': '#!/bin/sh\necho "script: $REASON $USERNAME $(nft list tables | grep -c inet) tables"\n',
  // So that the test need not wait as long as the unit does.
  'systemd/system/vpn.service.d/test.conf': '[Service]\nWatchdogSec=6s\n',
};

test('a server under systemd', { timeout: 180_000 }, async () => {
  const lab = await openLab({ clients: 2 });
  const booted = Promise.withResolvers<Machine>();
  const server = await startServer(lab, 'ocvpn', {
    options: {
      'run-as-user': 'ocvpn',
      'run-as-group': 'ocvpn',
      'server-drain-ms': 300,
      'connect-script': '/etc/vpn/script',
      'disconnect-script': '/etc/vpn/script',
      'restrict-user-to-routes': true,
      nat: true,
      'log-level': 3,
    },
    launch: async () => {
      const booting = await bootMachine(lab, files);
      booted.resolve(booting);
      const { journal } = booting;
      await journal.waitFor(/vpn is ready[\s\S]*Started vpn\.service/, { timeoutMs: 60_000 });
      return journal;
    },
  });
  const machine = await booted.promise;
  const { journal } = machine;

  // A login, scripts, the firewall, the tunnel in both ways: nothing of it is forbidden.
  const client = await connect(lab, server);
  await client.dtls();
  expect(await ping(client.host, inside.host4)).toEqual(whole);
  await journal.waitFor(/^script: connect alice [1-9]\d* tables$/m);
  expect(await machine.must('who')).toMatch(/^alice +vpns0 /m);
  const lines = (await machine.must('journalctl', '-u', 'vpn', '-o', 'json')).trim().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as Record<string, string>);
  for (const [role, level, priority] of [
    ['main', 30, '6'],
    ['worker', 20, '7'],
  ] as const) {
    const line = new RegExp(`^{"level":${level},[^\\n]*"role":"${role}"`);
    expect(entries.find(({ MESSAGE = '' }) => line.test(MESSAGE))).toMatchObject({ PRIORITY: priority });
  }

  // A reload, one that is refused, and one that works again.
  const conf = machine.path('/etc/vpn/vpn.conf');
  const good = readFileSync(conf, 'utf8');
  expect(await machine.run('systemctl', 'reload', 'vpn')).toMatchObject({ code: 0 });
  appendFileSync(conf, 'max-clients = many\n');
  expect((await machine.run('systemctl', 'reload', 'vpn')).code).toBe(1);
  await journal.waitFor(/max-clients.*many/);
  writeFileSync(conf, good);
  expect(await machine.run('systemctl', 'reload', 'vpn')).toMatchObject({ code: 0 });

  // A main that hangs is replaced, and the next one has the tunnel.
  const before = await statusOf(lab);
  await machine.must('systemctl', 'kill', '--kill-who=main', '-s', 'STOP', 'vpn');
  await journal.waitFor(/vpn\.service: Watchdog timeout/, { timeoutMs: 60_000 });
  await until(
    'the tunnel at the next main',
    async () => {
      const { pid, activeSessions } = await statusOf(lab);
      return pid !== before.pid && activeSessions === 1;
    },
    { timeoutMs: 60_000, everyMs: 500 },
  );
  expect(await ping(client.host, inside.host4)).toEqual(whole);
  expect(client.events().map(({ reason }) => reason)).not.toContain('reconnect');
  // secmod, too, comes and goes alone.
  await machine.must('systemctl', 'restart', 'vpn-secmod');
  await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
  expect((await server.users()).map(({ name }) => name).sort()).toEqual(['alice', 'carol']);

  await machine.must('systemctl', 'stop', 'vpn.socket', 'vpn.service', 'vpn-secmod.service');
  await journal.waitFor(/^script: disconnect alice/m);
  await client.process.ended();
  expect(await machine.must('systemctl', 'list-units', '--failed', '--plain', '--no-legend')).toBe('');
  expect(await lab.server.must(['nft', 'list', 'tables'])).toBe('');

  // systemd accepts, and starts a worker for each connection.
  await useDropIns(machine, 'one-process-per-connection');
  await machine.must('systemctl', 'start', 'vpn-worker.socket', 'vpn.service');
  const single = await connect(lab, server);
  await single.dtls();
  expect(await ping(single.host, inside.host4)).toEqual(whole);
  const [user] = await server.users();
  expect(user?.remote).toBe('10.70.0.2');
  expect(await machine.must('systemctl', 'list-units', '--plain', '--no-legend', 'vpn-worker@*')).toMatch(
    / running /,
  );
  await single.end('SIGINT');
  await until(
    'the worker to end',
    async () =>
      (await machine.must('systemctl', 'list-units', '--plain', '--no-legend', 'vpn-worker@*')) === '',
  );
  expect(await machine.must('systemctl', 'list-units', '--failed', '--plain', '--no-legend')).toBe('');
});
