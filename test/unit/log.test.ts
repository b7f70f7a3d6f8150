/** The formats of the log, each in a process of its own. */
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const module = join(import.meta.dirname, '../../dist/core/log.js');
const script = `const { createLogger } = await import(${JSON.stringify(module)});
const log = createLogger('main', 3);
for (const level of ['fatal', 'error', 'warn', 'info', 'debug']) log[level]({ client: 7 }, 'of ' + level);
log.child({ session: 'x' }).info('of a child');`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What such a process writes to stderr, which is a file; `journal`: its device and inode are in JOURNAL_STREAM. */
function lines(env: Record<string, string>, journal = false, program = script): string[] {
  const path = join(folder, 'stderr');
  const fd = openSync(path, 'w');
  const { dev, ino } = fstatSync(fd);
  const stream = journal ? { JOURNAL_STREAM: `${dev}:${ino}` } : {};
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'ignore', fd],
    env: { PATH: process.env.PATH, ...env, ...stream },
  });
  closeSync(fd);
  expect(status).toBe(0);
  return readFileSync(path, 'utf8').trim().split('\n');
}

const json = (line: string): unknown => JSON.parse(line.slice(line.indexOf('{')));

test('JSON lines when stderr is no terminal', () => {
  const found = lines({});
  expect(found).toHaveLength(6);
  expect(json(found[0] ?? '')).toMatchObject({ level: 60, role: 'main', client: 7, msg: 'of fatal' });
  for (const line of lines({ JOURNAL_STREAM: '1:2' })) expect(line).toMatch(/^\{/);
});

test('with the priority in front when stderr is the journal', () => {
  const found = lines({}, true);
  expect(found.map((line) => line.slice(0, 4))).toEqual(['<2>{', '<3>{', '<4>{', '<6>{', '<7>{', '<6>{']);
  expect(json(found[5] ?? '')).toMatchObject({ session: 'x', msg: 'of a child' });
  for (const line of lines({ VPN_LOG_FORMAT: 'json' }, true)) expect(line).toMatch(/^\{/);
});

test('sentences for people have a priority in the journal, line by line', () => {
  const module = join(import.meta.dirname, '../../dist/core/util/stderr.js');
  const program = `import { tell } from '${module}'; tell('error', 'one\\ntwo'); tell('notice', 'three');`;
  expect(lines({}, true, program)).toEqual(['<3>one', '<3>two', '<4>three']);
  expect(lines({}, false, program)).toEqual(['one', 'two', 'three']);
});

test('for people when it is asked for', () => {
  expect(lines({ VPN_LOG_FORMAT: 'human' }, true).join('\n')).toMatch(/ERROR.*main: of error\n +client: 7/);
});

test('to syslog, and on stderr what syslog does not take', () => {
  const program = script.replace(
    `createLogger('main', 3)`,
    `createLogger('main', 3, (path, text) => {
      if (text.includes('of warn')) throw new Error('ENOENT');
      console.error(path + ' ' + text);
    })`,
  );
  const env = { VPN_LOG_FORMAT: 'syslog', VPN_SYSLOG_FACILITY: 'auth', VPN_SYSLOG_TAG: 'ocserv', TZ: 'UTC' };
  const found = lines(env, false, program);
  expect(found.map((line) => /<\d+>|^{/.exec(line)?.[0])).toEqual([
    '<34>',
    '<35>',
    '{',
    '<38>',
    '<39>',
    '<38>',
  ]);
  expect(found[0]).toMatch(/^\/dev\/log <34>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d ocserv\[\d+\]: {.*}$/);
  expect(json(found[2] ?? '')).toMatchObject({ client: 7, msg: 'of warn' });
  // Without the means to reach it.
  for (const line of lines(env)) expect(line).toMatch(/^{/);
  const elsewhere = lines({ VPN_LOG_FORMAT: 'syslog', VPN_SYSLOG_SOCKET: '/other' }, false, program);
  expect(elsewhere[0]).toMatch(/^\/other <26>.* vpn\[\d+\]: /);
});
