/** Asking for a new password, and the commands around it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readNewPassword, type Terminal } from '../../src/core/users/read-password.js';
import { sha256CryptMatches } from '../../src/core/users/sha256-crypt.js';

/** A terminal on which somebody types one answer per prompt. */
function terminal(...answers: string[]) {
  const input = Object.assign(new PassThrough(), { isTTY: true, raw: [] as boolean[] });
  const shown: string[] = [];
  const output = new PassThrough();
  output.on('data', (text: Buffer) => {
    shown.push(text.toString());
    const answer = text.includes('\n') ? undefined : answers.shift();
    if (answer !== undefined) setImmediate(() => input.write(answer));
  });
  const setRawMode = (raw: boolean) => {
    input.raw.push(raw);
    return input as never;
  };
  return {
    terminal: { input: Object.assign(input, { setRawMode }), output } as Terminal,
    shown,
    raw: input.raw,
  };
}

const read = (...answers: string[]) => readNewPassword('alice', false, terminal(...answers).terminal);

describe('on a terminal', () => {
  test('asks twice, shows nothing, and leaves the terminal as it was', async () => {
    const { terminal: tty, shown, raw } = terminal('secret\r', 'secret\r');
    expect(await readNewPassword('alice', false, tty)).toBe('secret');
    expect(shown.join('')).toBe('New password for alice: \nOnce more: \n');
    expect(raw).toEqual([true, false, true, false]);
  });

  test.each([
    ['backspace', 'sex\u007fcret\r'],
    ['backspace over a character of two units', 'se😀\bcret\r'],
    ['Ctrl-U', 'something else\u0015secret\n'],
  ])('%s edits', async (_, typed) => {
    expect(await read(typed, 'secret\r')).toBe('secret');
  });

  test('two different ones, Ctrl-C and Ctrl-D are no password', async () => {
    await expect(read('secret\r', 'Secret\r')).rejects.toMatchObject({ code: 'OCS_PASSWORD' });
    await expect(read('sec\u0003')).rejects.toMatchObject({ code: 'OCS_PASSWORD' });
    await expect(read('\u0004')).rejects.toMatchObject({ code: 'OCS_PASSWORD' });
  });
});

describe('from a pipe', () => {
  const piped = (text: string) => {
    const input = new PassThrough();
    input.end(text);
    return readNewPassword('alice', true, { input, output: new PassThrough() });
  };

  test('the first line is the password, blanks and all', async () => {
    expect(await piped(' two words \nmore\n')).toBe(' two words ');
    expect(await piped('no line feed')).toBe('no line feed');
  });

  test('nothing is no password', async () => {
    await expect(piped('')).rejects.toMatchObject({ code: 'OCS_PASSWORD' });
  });
});

describe('the commands', { timeout: 30_000 }, () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const vpn = (...args: string[]) => [join(root, 'bin/run.js'), 'passwd', ...args, '-c', file];
  let directory: string;
  let file: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'ocvpn-commands-'));
    file = join(directory, 'ocpasswd');
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('create, lock and list', () => {
    execFileSync(process.execPath, vpn('create', 'alice', '-g', 'staff,tech'), {
      input: 'secret\n',
      cwd: root,
    });
    execFileSync(process.execPath, vpn('lock', 'alice'), { cwd: root });
    const [user, groups, hash = ''] = readFileSync(file, 'utf8').trim().split(':');
    expect([user, groups, hash[0]]).toEqual(['alice', 'staff,tech', '!']);
    expect(sha256CryptMatches('secret', hash.slice(1))).toBe(true);
    const json = execFileSync(process.execPath, vpn('list', '--json'), { cwd: root }).toString();
    expect(JSON.parse(json)).toEqual([{ userName: 'alice', groups: ['staff', 'tech'], locked: true }]);
  });

  test('a failure is one line on stderr and status 1, without a stack', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, vpn('delete', 'nobody'), { cwd: root });
    expect(status).toBe(1);
    expect(stdout.toString()).toBe('');
    const sentence = `There is no user nobody in ${file}. See the names with "vpn passwd list".`;
    expect(stderr.toString()).toBe(`vpn: ${sentence}\n`);
  });
});
