/** `vpn passwd`'s code against Debian's ocpasswd, both ways, on real files. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseOcpasswdLine } from '../../src/core/plugin-api/ocpasswd-format.js';
import { changeGroups, list, lock, remove, setPassword, unlock } from '../../src/core/users/passwd.js';
import { sha256Crypt, sha256CryptMatches } from '../../src/core/users/sha256-crypt.js';
import { crypt } from '../../src/plugins/auth-plain/src/crypt.js';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-passwd-'));
  file = join(directory, 'ocpasswd');
});
afterEach(() => rmSync(directory, { recursive: true }));

const hasOcpasswd = spawnSync('ocpasswd', ['--version']).error === undefined;
const ocpasswd = (input: string, ...args: string[]) =>
  execFileSync('ocpasswd', ['-c', file, ...args], { input });
const text = () => readFileSync(file, 'utf8');
const hashOf = (user: string) => {
  const entry = text()
    .split('\n')
    .map(parseOcpasswdLine)
    .find((candidate) => candidate?.userName === user);
  return entry?.hash ?? '';
};
const accepts = async (user: string, password: string) =>
  (await crypt(Buffer.from(password), hashOf(user))) === hashOf(user);

describe.skipIf(!hasOcpasswd)('with the real ocpasswd', () => {
  test('what ocpasswd wrote is read, and its hashes are verified', async () => {
    ocpasswd('first secret\n', '-g', 'staff,tech', 'alice');
    ocpasswd('another\n', 'bob');
    ocpasswd('', '-l', 'bob');
    expect(list(file)).toEqual([
      { userName: 'alice', groups: ['staff', 'tech'], locked: false },
      { userName: 'bob', groups: [], locked: true },
    ]);
    expect(await accepts('alice', 'first secret')).toBe(true);
    expect(await accepts('alice', 'first secre')).toBe(false);
    expect(sha256CryptMatches('another', hashOf('bob'))).toBe(true);
    expect(sha256CryptMatches('Another', hashOf('bob'))).toBe(false);
  });

  test('ocpasswd works on what we wrote, and leaves the rest as it is', async () => {
    await setPassword(file, 'alice', 'pässword', ['staff']);
    await setPassword(file, 'bob', 'b', []);
    const [alice, bob] = text().split('\n');
    ocpasswd('', '-l', 'alice');
    expect(text()).toBe(`${alice?.replace('$5$', '!$5$')}\n${bob}\n`);
    ocpasswd('', '-u', 'alice');
    expect(text()).toBe(`${alice}\n${bob}\n`);
    ocpasswd('', '-d', 'alice');
    expect(text()).toBe(`${bob}\n`);
  });

  test('lock, unlock and delete make the same file as ocpasswd', async () => {
    await setPassword(file, 'alice', 'secret', ['staff']);
    await setPassword(file, 'bob', 'secret', []);
    const original = text();
    for (const [flag, ours] of [
      ['-l', lock],
      ['-l', lock],
      ['-u', unlock],
      ['-d', remove],
    ] as const) {
      const before = text();
      ocpasswd('', flag, 'alice');
      const theirs = text();
      writeFileSync(file, before);
      await ours(file, 'alice');
      expect(text()).toBe(theirs);
    }
    expect(text()).not.toBe(original);
  });
});

test('a hash looks like one of ocpasswd and the system accepts it', async () => {
  await setPassword(file, 'alice', 'secret', ['staff', 'tech']);
  expect(text()).toMatch(/^alice:staff,tech:\$5\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{43}\n$/);
  expect(await accepts('alice', 'secret')).toBe(true);
  expect(await accepts('alice', 'Secret')).toBe(false);
});

test('SHA-256-crypt yields the vectors of its specification', () => {
  expect(sha256Crypt('Hello world!', 'saltstring')).toBe(
    '$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5',
  );
});

test('mode, position, other lines and their bytes are kept', async () => {
  const odd = Buffer.from('# comment\n\xff\xfe broken\nalice:staff:!x\r\n\nbob:*:y', 'latin1');
  writeFileSync(file, odd);
  chmodSync(file, 0o640);
  await setPassword(file, 'alice', 'secret');
  const lines = readFileSync(file, 'latin1').split('\n');
  expect(lines[2]).toMatch(/^alice:staff:\$5\$/);
  expect([...lines.slice(0, 2), ...lines.slice(3)].join('|')).toBe('# comment|\xff\xfe broken||bob:*:y');
  expect(statSync(file).mode & 0o777).toBe(0o640);
});

test('a new file is for its owner alone, a link stays a link', async () => {
  const link = join(directory, 'link');
  await setPassword(file, 'alice', 'secret');
  symlinkSync(file, link);
  await setPassword(link, 'bob', 'secret');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(list(file).map((user) => user.userName)).toEqual(['alice', 'bob']);
});

test('a user without --group keeps the groups, with it they change, the password stays', async () => {
  await setPassword(file, 'alice', 'secret', ['staff']);
  await setPassword(file, 'alice', 'other');
  expect(list(file)[0]?.groups).toEqual(['staff']);
  await changeGroups(file, 'alice', ['tech', 'lab']);
  expect(list(file)[0]?.groups).toEqual(['tech', 'lab']);
  expect(await accepts('alice', 'other')).toBe(true);
});

test('the lock file of another program is respected and not removed', async () => {
  await setPassword(file, 'alice', 'secret');
  const before = text();
  writeFileSync(`${file}.tmp`, '');
  await expect(setPassword(file, 'bob', 'secret')).rejects.toMatchObject({ code: 'OCS_PASSWD_LOCKED' });
  expect(text()).toBe(before);
  expect(existsSync(`${file}.tmp`)).toBe(true);
});

test('changes at the same time are all kept', async () => {
  const names = ['a1', 'b2', 'c3', 'd4', 'e5'];
  await Promise.all(names.map((name) => setPassword(file, name, `secret of ${name}`)));
  expect(
    list(file)
      .map((user) => user.userName)
      .sort(),
  ).toEqual(names);
  expect(existsSync(`${file}.tmp`)).toBe(false);
});

test.each([
  ['OCS_USER_NAME', 'with:colon', 'secret', []],
  ['OCS_USER_NAME', 'two\nlines', 'secret', []],
  ['OCS_USER_NAME', '', 'secret', []],
  ['OCS_USER_NAME', '#comment', 'secret', []],
  ['OCS_USER_NAME', 'ü'.repeat(33), 'secret', []],
  ['OCS_USER_NAME', 'alice', 'secret', ['a,b']],
  ['OCS_USER_NAME', 'alice', 'secret', ['x']],
  ['OCS_PASSWORD', 'alice', '', []],
  ['OCS_PASSWORD', 'alice', 'a\0b', []],
  ['OCS_PASSWORD', 'alice', 'x'.repeat(512), []],
])('%s: user %j, password and groups %j %j', async (code, user, password, groups) => {
  await expect(setPassword(file, user, password, groups)).rejects.toMatchObject({ code });
  expect(existsSync(file)).toBe(false);
});

test('an unknown user is an error for every change but create, and nothing is written', async () => {
  await setPassword(file, 'alice', 'secret');
  const before = text();
  for (const change of [lock, unlock, remove]) {
    await expect(change(file, 'bob')).rejects.toMatchObject({ code: 'OCS_USER_UNKNOWN' });
  }
  await expect(changeGroups(file, 'bob', [])).rejects.toMatchObject({ code: 'OCS_USER_UNKNOWN' });
  await expect(lock(join(directory, 'none'), 'alice')).rejects.toMatchObject({ code: 'OCS_USER_UNKNOWN' });
  expect(text()).toBe(before);
});
