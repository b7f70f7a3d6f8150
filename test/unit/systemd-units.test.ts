/** The units of deploy/systemd in the eyes of systemd itself, and against what the server knows. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { last, readUnit } from '../support/units.ts';

const source = join(import.meta.dirname, '../../deploy/systemd');
const VARIANT = 'one-process-per-connection';
const units = readdirSync(source).filter((name) => /\.(service|socket)$/.test(name));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ocvpn-units-'));
  for (const name of units) cpSync(join(source, name), join(folder, name));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** What systemd-analyze says about our files; it also speaks of others on this machine. */
function verify(): string[] {
  const vpn = join(folder, 'vpn');
  writeFileSync(vpn, '#!/bin/sh\n');
  chmodSync(vpn, 0o755);
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(service|socket|conf)$/.test(name)) continue;
    const path = join(folder, name);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('/opt/ocvpn/bin/vpn', vpn));
  }
  const files = units.map((name) => join(folder, name));
  const { stderr, error } = spawnSync('systemd-analyze', ['verify', '--man=no', ...files], {
    encoding: 'utf8',
  });
  if (error) throw error;
  return stderr.split('\n').filter((line) => line.includes('vpn'));
}

it('systemd finds nothing wrong with them', () => {
  expect(units).toHaveLength(5);
  expect(verify()).toEqual([]);
});

it('nor with the drop-ins', () => {
  cpSync(join(source, VARIANT), folder, { recursive: true });
  expect(verify()).toEqual([]);
});

it.each([
  ['a directive that does not exist', 'WatchdogSec=', 'WatchdogSecs=', /Unknown key.* 'WatchdogSecs'/],
  ['a value that is none', 'RestartSec=500ms', 'RestartSec=soon', /Failed to parse/],
])('and %s would be found', (_what, right, wrong, complaint) => {
  const path = join(folder, 'vpn.service');
  writeFileSync(path, readFileSync(path, 'utf8').replace(right, wrong));
  expect(verify().join('\n')).toMatch(complaint);
});

it('tmpfiles.d and sysusers.d are read without complaint', () => {
  const root = join(folder, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
  const users = spawnSync('systemd-sysusers', [`--root=${root}`, join(source, 'sysusers.d/ocvpn.conf')], {
    encoding: 'utf8',
  });
  expect([users.status, users.stderr]).toEqual([0, expect.not.stringMatching(/fail|unknown|invalid/i)]);
  expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(/^ocvpn:.*nologin$/m);
  const files = spawnSync(
    'systemd-tmpfiles',
    ['--create', `--root=${root}`, join(source, 'tmpfiles.d/ocvpn.conf')],
    { encoding: 'utf8' },
  );
  expect([files.status, files.stderr]).toEqual([0, '']);
  expect(readdirSync(join(root, 'run'))).toEqual(['vpn']);
});

it('start one installation with one configuration, state and run directory', () => {
  const commands = [
    readUnit('vpn.service'),
    readUnit('vpn.service', VARIANT),
    readUnit('vpn-secmod.service'),
    readUnit('vpn-worker@.service'),
  ].map((unit) => last(unit, '[Service] ExecStart') ?? '');
  const roles = ['serve', 'serve', 'secmod', 'worker'];
  for (const [index, command] of commands.entries()) {
    expect(command).toMatch(new RegExp(`^/opt/ocvpn/bin/vpn ${roles[index]} `));
    if (!command.includes(' worker ')) {
      expect(command).toContain('--config /etc/vpn/vpn.conf --data-dir /var/lib/vpn --run-dir /run/vpn');
    }
  }
});
