/** What a command that fails leaves behind: one line that says what to do, and an exit status; the same for all commands. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const directory = mkdtempSync(join(tmpdir(), 'ocvpn-failures-'));
afterAll(() => rmSync(directory, { recursive: true }));

function vpn(line: string, { input = '', env = {} }: { input?: string; env?: NodeJS.ProcessEnv } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...line.split(' ')], {
    input,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const noSuchFile = (path: string) =>
  `The configuration file ${path} cannot be used: there is no such file. Check that the file exists, that its name is right and that it may be read and written.`;

test.each([
  ['srve', 2, 'There is no command "srve": did you mean "vpn serve"? See "vpn --help".'],
  [
    'ctl show sessio',
    2,
    'There is no command "ctl show sessio": did you mean "vpn ctl show session"? See "vpn --help".',
  ],
  [
    'ctl status',
    2,
    'There is no command "ctl status": did you mean "vpn ctl show status"? See "vpn --help".',
  ],
  ['serve --prot 4443', 2, 'There is no option --prot: did you mean --port? See "vpn serve --help".'],
  [
    'serve -p 99999',
    2,
    '--port: Expected an integer less than or equal to 65535 but received: 99999. See "--help".',
  ],
  ['serve -c /not-there', 1, noSuchFile('/not-there')],
  ['auth test alice -c /not-there', 1, noSuchFile('/not-there')],
  ['passwd delete', 2, 'Missing 1 required arg: user: Name of the user. See "vpn passwd delete --help".'],
  ['ctl disconnect id first', 2, '"first" is not an ID. See "vpn ctl show users".'],
  ['ctl unban ip localhost', 2, '"localhost" is not an IP address. See "vpn ctl show ip bans".'],
  [
    `plugins unlink foo --data-dir ${directory}`,
    1,
    'There is no linked plugin foo. See "vpn plugins" for those that there are.',
  ],
])('vpn %s', (line, status, sentence) => {
  expect(vpn(line)).toEqual({ status, stdout: '', stderr: `vpn: ${sentence}\n` });
});

test('VPN_DATA_DIR names the data directory of every command', () => {
  const env = { VPN_DATA_DIR: directory };
  expect(vpn('passwd create alice', { input: 'secret\n', env }).stderr).toBe('');
  expect(JSON.parse(vpn('passwd list -j', { env }).stdout)).toMatchObject([{ userName: 'alice' }]);
  expect(vpn('cert ca', { env }).stdout).toContain(`wrote ${directory}/pki/ca.crt`);
});

test('vpn plugins says that there is none, and nothing else in JSON', () => {
  const data = ['--data-dir', join(directory, 'empty')].join(' ');
  expect(vpn(`plugins ${data}`).stdout).toBe('No plugin was installed or linked.\n');
  expect(vpn(`plugins --json ${data}`).stdout).toBe('[]\n');
});

test('the shell runs every line of its input, also when that has ended', () => {
  const { status, stderr } = vpn(`ctl --run-dir ${directory}`, {
    input: 'show users\nshow id x\nshow status\n',
  });
  expect(status).toBe(1);
  expect(stderr.match(/^vpn: No server answers/gm)).toHaveLength(2);
  expect(stderr).toContain('vpn: "x" is not an ID.');
  expect(stderr).not.toContain('readline');
});
