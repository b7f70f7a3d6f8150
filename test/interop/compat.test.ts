/** The executables with ocserv's names: flags, exit statuses, pid file, daemon, signals. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Lab, openLab } from '../support/lab.ts';
import { writeCertificate } from '../support/pki.ts';
import { until } from '../support/wait.ts';

const program = (name: string) => join(import.meta.dirname, '../../bin/compat', name);

/** A folder with ocserv.conf, password file and certificate; paths in it are relative. */
async function prepare(
  lab: Lab,
): Promise<(name: string, ...args: string[]) => ReturnType<Lab['server']['run']>> {
  const certificate = await writeCertificate(lab.folder, 'rsa');
  writeFileSync(
    join(lab.folder, 'ocserv.conf'),
    [
      'auth = "plain[passwd=./ocpasswd]"',
      'tcp-port = 443',
      'udp-port = 443',
      'run-as-user = nobody',
      'run-as-group = nogroup',
      `server-cert = ${certificate.certificate}`,
      `server-key = ${certificate.key}`,
      `socket-file = ${lab.folder}/sm`,
      'device = vpns',
      'ipv4-network = 10.99.0.0',
      'ipv4-netmask = 255.255.255.0',
      'syslog-facility = local3',
      'use-occtl = true',
      `occtl-socket-file = ${lab.folder}/occtl.sock`,
      '',
    ].join('\n'),
  );
  const run = `cd '${lab.folder}' && exec "$@"`;
  const env = { VPN_SYSLOG_SOCKET: syslogOf(lab), VPN_DATA_DIR: join(lab.folder, 'data') };
  return (name, ...args) =>
    lab.server.run(['sh', '-c', run, 'sh', program(name), ...args], { input: 'secret\n', env });
}

/** In place of /dev/log. */
const syslogOf = (lab: Lab): string => join(lab.folder, 'log');

const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}/cmdline`);

test('the daemon is there when its starter ends, obeys signals, and leaves nothing', async () => {
  const lab = await openLab();
  const run = await prepare(lab);
  expect(await run('ocpasswd', '-c', 'ocpasswd', '-g', 'staff', 'alice')).toMatchObject({ code: 0 });
  expect(readFileSync(join(lab.folder, 'ocpasswd'), 'utf8')).toMatch(/^alice:staff:\$5\$/);
  expect(await run('ocserv', '-t', '-c', 'ocserv.conf')).toMatchObject({ code: 0 });
  const syslog = lab.server.start('syslog', [
    'python3',
    'test/support/service-manager.py',
    'notify',
    syslogOf(lab),
  ]);
  await syslog.waitFor(/listening/);
  expect(await run('ocserv', '-c', 'ocserv.conf', '-p', 'pid', '-d', '4')).toMatchObject({ code: 0 });
  const pid = Number(readFileSync(join(lab.folder, 'pid'), 'utf8'));
  onTestFinished(() => {
    if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  });
  expect(await lab.server.must(['ss', '-Hlnt', 'sport', '=', '443'])).toContain(':443');
  // Whoever waited for the starter can ask at once.
  const status = await run('occtl', '-s', 'occtl.sock', '-j', 'show', 'status');
  expect(JSON.parse(status.stdout)).toMatchObject({ Status: 'online', 'Server PID': pid });

  // Facility local3 (19), priority debug or informational; what is no line of the log comes as a notice.
  for (const role of ['main', 'secmod', 'worker'])
    await syslog.waitFor(
      new RegExp(
        `^<15[89]>\\w{3} [ \\d]\\d [\\d:]{8} ocserv\\[\\d+\\]: {"level":\\d0,[^\\n]*"role":"${role}"`,
        'm',
      ),
    );
  await syslog.waitFor(/^<157>.*ocserv.*: +TLS +\S+:443/m);
  await syslog.waitFor(/: +addresses +10\.99\.0\.0\/24$/m);
  expect(existsSync(join(lab.folder, 'data', 'in-use.json'))).toBe(true);

  expect(await run('occtl', '-s', 'occtl.sock', 'SHOW  users')).toMatchObject({ code: 0 });
  // What is not there, in the words of the stock program.
  const stock = (...words: string[]) => lab.server.run(['occtl', '-s', `${lab.folder}/occtl.sock`, ...words]);
  for (const words of [
    ['show', 'user', 'nobody'],
    ['show', 'id', '999999'],
    ['show', 'session', 'zzzzzz'],
    ['show', 'ip', 'bans'],
    ['disconnect', 'user', 'nobody'],
    ['disconnect', 'id', '999999'],
    ['unban', 'ip', '192.0.2.99'],
  ]) {
    const { code, stdout } = await stock(...words);
    expect(await run('occtl', '-s', 'occtl.sock', ...words)).toMatchObject({ code, stdout });
    const json = await run('occtl', '-s', 'occtl.sock', '-j', ...words);
    expect(json.code).toBe(code);
    if (words[0] === 'show') expect(JSON.parse(json.stdout)).toEqual([]);
  }
  expect(await run('occtl', '-s', 'occtl.sock', 'terminate', 'id', '999999')).toMatchObject({
    code: 1,
    stdout: "could not terminate ID '999999'\n",
  });
  for (const words of [
    ['show', 'id', 'first'],
    ['unban', 'ip', 'localhost'],
  ]) {
    expect((await run('occtl', '-s', 'occtl.sock', ...words)).code).toBe(1);
  }
  expect((await run('occtl', '-s', 'occtl.sock', 'sing')).code).toBe(1);
  // The stock program, on the same socket.
  expect((await stock('show', 'status')).stdout).toMatch(`Server PID: ${pid}`);

  const id = createHash('sha256').update(join(lab.folder, 'ocserv.conf')).digest('hex').slice(0, 8);
  const runDir = `/run/ocserv-${id}`;
  expect(existsSync(runDir)).toBe(true);
  process.kill(pid, 'SIGHUP');
  process.kill(pid, 'SIGTERM');
  await until('the daemon to end', () => !isRunning(pid));
  expect(existsSync(join(lab.folder, 'pid'))).toBe(false);
  expect(existsSync(runDir)).toBe(false);
  expect((await run('occtl', '-s', 'occtl.sock', 'show', 'status')).code).toBe(1);
});

test('-f stays in the foreground, and the process that was started gets the signals', async () => {
  const lab = await openLab();
  const run = await prepare(lab);
  await run('ocpasswd', '-c', 'ocpasswd', 'alice');
  // Two seconds, on an idle machine: three times what another command takes is far less there, and busy ones are fair.
  const before = performance.now();
  await run('ocserv', '-t', '-c', 'ocserv.conf');
  const started = performance.now();
  const server = lab.server.start('ocserv', [
    'sh',
    '-c',
    `cd '${lab.folder}' && VPN_DATA_DIR=data exec '${program('ocserv')}' -f -d 4 -c ocserv.conf -p pid`,
  ]);
  // It is written when the sockets are open.
  await until('the pid file', () => existsSync(join(lab.folder, 'pid')), { everyMs: 20 });
  expect(performance.now() - started).toBeLessThan(3 * (started - before));
  expect(await lab.server.must(['ss', '-Hlnt', 'sport', '=', '443'])).toContain(':443');
  await server.waitFor(/vpn is ready/);
  // The level holds for every process.
  for (const role of ['main', 'secmod', 'worker'])
    await server.waitFor(new RegExp(`"level":10,[^\\n]*"role":"${role}"`));
  server.signal('SIGTERM');
  expect(await server.ended()).toMatchObject({ code: 0 });
});

test('mistakes end with status 1 and a sentence', async () => {
  const lab = await openLab();
  const run = await prepare(lab);
  writeFileSync(join(lab.folder, 'bad.conf'), 'tcp-port = many\n');
  for (const args of [
    ['-t', '-c', 'bad.conf'],
    ['-c', 'bad.conf'],
    ['-t', '-c', 'absent.conf'],
    ['--sing'],
  ]) {
    const { code, stderr } = await run('ocserv', ...args);
    expect(code).toBe(1);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(stderr).not.toBe('');
  }
  for (const args of [['-d', '-l', 'alice'], [], ['-c', 'ocpasswd', '-d', 'nobody']]) {
    expect((await run('ocpasswd', ...args)).code).toBe(1);
  }
  expect((await run('ocserv', '-v')).stdout).toMatch(/oath/);
  expect((await run('ocpasswd', '-v')).code).toBe(0);
  expect((await run('occtl', '--version')).code).toBe(0);
});
