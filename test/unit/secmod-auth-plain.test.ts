/** The plain back end by itself: hashes of every kind, time, cancellation, missing files. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AuthBackend, Step } from '../../src/core/plugin-api/index.js';
import { crypt } from '../../src/plugins/auth-plain/src/crypt.js';
import { plainPlugin } from '../../src/plugins/auth-plain/src/plain-backend.js';
import { aLogin } from '../support/login.ts';
import { expectSameTime, timesOf } from '../support/timing.js';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-plain-'));
  file = join(directory, 'ocpasswd');
});
afterEach(() => rmSync(directory, { recursive: true }));

const create = () =>
  plainPlugin.create({ passwd: file }, { vhost: 'default', log: pino({ level: 'silent' }) });

async function attempt(
  backend: AuthBackend,
  userName: string,
  password: string,
  signal = new AbortController().signal,
): Promise<Step> {
  const conversation = backend.begin(aLogin(userName, { signal }));
  expect(await conversation.start()).toEqual({ result: 'prompt', message: '', counter: 0 });
  return conversation.answer(Buffer.from(password));
}

test.each([
  '$1$saltsalt',
  '$5$saltstring',
  '$6$saltstring',
  '$6$rounds=1000$saltstring',
  '$y$j9T$F5Jx5fExrKuPp53xLKQ..1',
  '$2b$04$abcdefghijklmnopqrstuu',
])('a hash with %s is accepted with its password only', async (setting) => {
  const hash = await crypt(Buffer.from('secret'), setting);
  writeFileSync(file, `alice:a1,b2:${hash}\n`);
  const backend = await create();
  expect(await attempt(backend, 'alice', 'secret')).toEqual({
    result: 'ok',
    userName: 'alice',
    groups: ['a1', 'b2'],
  });
  expect(await attempt(backend, 'alice', 'secreT')).toMatchObject({ result: 'fail', retry: true });
});

/** What the system's crypt(3) makes of it. */
const systemCrypt = (password: string, setting: string): string =>
  execFileSync('perl', ['-e', 'print crypt($ARGV[0], $ARGV[1])', password, setting]).toString();

test.each(['$5$', '$6$'])('%s: the addon computes what the system computes', async (method) => {
  const salts = ['saltstring', 's', 'sixteencharacter', 'rounds=1000$./', 'rounds=1003$salt$rest'];
  // Around the sizes of digests and of SHA's blocks, and the longest.
  const lengths = [0, 1, 6, 31, 32, 33, 55, 63, 64, 65, 111, 128, 129, 511];
  const passwords = lengths.map((length) => 'password, '.repeat(52).slice(0, length));
  for (const [i, password] of [...passwords, 'pässwörd'].entries()) {
    const setting = `${method}${salts[i % salts.length]}`;
    expect(await crypt(Buffer.from(password), setting)).toBe(systemCrypt(password, setting));
  }
});

test.each([
  '$5$rounds=999$salt',
  '$5$rounds=01000$salt',
  '$5$rounds=1x00$salt',
  '$6$seventeencharacters',
  '$5$sal:t',
  '$6$',
])('what libcrypts differ about is for the system: %s', async (setting) => {
  const hash = systemCrypt('secret', setting);
  expect(await crypt(Buffer.from('secret'), setting)).toBe(hash.startsWith('*') || hash === '' ? null : hash);
});

test.each([
  ['alice:*:', ''],
  ['alice:*:!', ''],
  ['alice:*:*', '*'],
  ['alice:*:x', 'x'],
  ['alice:*:$9$unknown$x', 'x'],
])('the line %j lets nobody in', async (line, password) => {
  writeFileSync(file, `${line}\n`);
  expect(await attempt(await create(), 'alice', password)).toMatchObject({ result: 'fail' });
});

test('the first line of a name counts', async () => {
  const [one, two] = await Promise.all(['one', 'two'].map((text) => crypt(Buffer.from(text), '$5$salt')));
  writeFileSync(file, `alice:*:${one}\nalice:admin:${two}\n`);
  const backend = await create();
  expect(await attempt(backend, 'alice', 'one')).toMatchObject({ result: 'ok', groups: [] });
  expect(await attempt(backend, 'alice', 'two')).toMatchObject({ result: 'fail' });
});

describe.each([
  ['passwords alone', false],
  ['passwords and codes', true],
])('%s', (_, withCodes) => {
  test('unknown and locked users take the time of a wrong password', async () => {
    // Cheap: what is done beside the hash is not to hide behind it.
    const hash = await crypt(Buffer.from('secret'), '$5$rounds=1000$saltstring');
    writeFileSync(file, `alice:*:${hash}\nlocked:*:!${hash}\ntoken:*:\n`);
    const oath = join(directory, 'users.oath');
    writeFileSync(oath, `HOTP/T30 alice - ${'ab'.repeat(20)}\nHOTP/T30 token - ${'cd'.repeat(20)}\n`);
    const options = withCodes ? { passwd: file, otp: oath } : { passwd: file };
    const backend = await plainPlugin.create(options, { vhost: 'default', log: pino({ level: 'silent' }) });
    const users = ['alice', 'nobody', 'locked', 'token'];
    const times = await timesOf(users, async (user) => {
      expect(await attempt(backend, user, '123456')).toMatchObject({ result: 'fail', retry: true });
    });
    for (const user of users.slice(1)) expectSameTime(times('alice'), times(user), `alice and ${user}`);
  });
});

test('the loop runs on while hashes are computed, and all of many at once are answered', async () => {
  const hash = await crypt(Buffer.from('secret'), '$5$rounds=50000$saltstring');
  writeFileSync(file, `alice:*:${hash}\n`);
  const backend = await create();
  let turns = 0;
  const counter = setInterval(() => turns++, 1);
  const steps = await Promise.all(
    Array.from({ length: 8 }, (_, i) => attempt(backend, 'alice', i % 2 ? 'secret' : 'no')),
  );
  clearInterval(counter);
  expect(steps.map(({ result }) => result)).toEqual(steps.map((_, i) => (i % 2 ? 'ok' : 'fail')));
  expect(turns).toBeGreaterThan(5);
});

test('a login that was given up costs no hash', async () => {
  writeFileSync(file, 'alice:*:$5$x$y\n');
  await expect(attempt(await create(), 'alice', 'secret', AbortSignal.abort())).rejects.toThrow();
});

test('the file may come with its first user; until then nobody gets in', async () => {
  const backend = await create();
  await expect(attempt(backend, 'alice', 'secret')).rejects.toThrow(/ENOENT/);
  writeFileSync(file, `alice::${await crypt(Buffer.from('secret'), '$6$saltstring')}\n`);
  expect(await attempt(backend, 'alice', 'secret')).toMatchObject({ result: 'ok' });
});
