/** `acct: pam` on real PAM: the account check and the session, each in a process of its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AccountedSession } from '../../src/core/plugin-api/index.js';
import { createPamAccounting, pamAccountingPlugin } from '../../src/plugins/auth-pam/src/pam-accounting.js';
import { buildPamModule, writeService } from '../support/pam.ts';
import { until } from '../support/wait.ts';

let directory: string;
let module: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-pamacct-'));
  module = buildPamModule(directory);
});
afterAll(() => rmSync(directory, { recursive: true }));

const alice: AccountedSession = {
  sessionId: 'session-1',
  userName: 'alice',
  groupName: '',
  remoteIp: '192.0.2.7',
  ourIp: '',
  userAgent: '',
  ipv4: '10.0.0.2',
  ipv6: '',
  accountingState: '',
};
const usage = { seconds: 1, bytesIn: 2, bytesOut: 3 };
let services = 0;

/** Accounting through a service with these arguments for the module; what it notes, and which sessions it ends. */
function start(args: string[], limits = { checkMs: 5_000, sessionMs: 5_000 }) {
  const service = `a${services++}`;
  const log = join(directory, `${service}.log`);
  writeService(directory, service, module, ...args, `log=${log}`);
  const ended: string[] = [];
  const host = {
    vhost: 'default',
    log: pino({ level: 'silent' }),
    stateDir: directory,
    endSessions: async (matches: (session: AccountedSession) => boolean) => {
      const found = [alice].filter(matches);
      ended.push(...found.map(({ sessionId }) => sessionId));
      return found.length;
    },
    changeSessions: async () => 0,
  };
  const backend = createPamAccounting({ service }, host, directory, limits);
  const noted = (): string[] => {
    try {
      return readFileSync(log, 'utf8').trim().split('\n');
    } catch {
      return [];
    }
  };
  return { backend, ended, noted };
}

test('a session is opened with its credentials, and both are taken back at its end', async () => {
  const { backend, noted, ended } = start([]);
  backend.start(alice);
  const begun = ['establish alice 192.0.2.7', 'open alice 192.0.2.7'];
  await until('the session to open', () => noted().length === 2);
  backend.interim(alice, usage);
  expect(noted()).toEqual(begun);
  backend.stop(alice, usage, 'user-disconnect');
  await until('the session to close', () => noted().length === 4);
  expect(noted()).toEqual([...begun, 'close alice 192.0.2.7', 'delete alice 192.0.2.7']);
  expect(ended).toEqual([]);
});

test('the end of the server closes what is open', async () => {
  const { backend, noted } = start([]);
  for (const sessionId of ['one', 'two']) backend.start({ ...alice, sessionId });
  await until('both to open', () => noted().filter((line) => line.startsWith('open')).length === 2);
  await backend.close?.();
  expect(noted().filter((line) => line.startsWith('close'))).toHaveLength(2);
});

test.each([
  ['a good account', [], true],
  ['an expired account', ['account=13'], false],
  ['a password that must be changed', ['account=12'], false],
])('%s', async (_, args, admitted) => {
  const { backend, noted } = start(args);
  expect(await backend.admit?.(alice)).toBe(admitted);
  expect(noted()).toEqual([]);
});

test('a session that PAM does not open is ended', async () => {
  const { backend, ended, noted } = start(['session=14']);
  backend.start(alice);
  await until('the session to end', () => ended.length === 1);
  await until('the credentials to go', () => noted().includes('delete alice 192.0.2.7'));
  expect(noted()).not.toContain('close alice 192.0.2.7');
});

test('a hanging module is cut off', async () => {
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const limits = { checkMs: 300, sessionMs: 300 };
  expect(await start([`hangaccount=${fifo}`], limits).backend.admit?.(alice)).toBe(false);
  const { backend, ended } = start([`hangsession=${fifo}`], limits);
  backend.start(alice);
  await until('the session to end', () => ended.length === 1);
  await backend.close?.();
});

test('service= must be a name', async () => {
  const nobody = async () => 0;
  const host = {
    ...{ vhost: '', log: pino({ level: 'silent' }), stateDir: '' },
    ...{ endSessions: nobody, changeSessions: nobody },
  };
  await expect(pamAccountingPlugin.create({ service: '../x' }, host)).rejects.toThrow('/etc/pam.d');
});
