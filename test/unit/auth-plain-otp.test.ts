/** One-time passwords of the plain back end: the algorithms, the file's grammar, and logins with both. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Step } from '../../src/core/plugin-api/index.js';
import { crypt } from '../../src/plugins/auth-plain/src/crypt.js';
import { OathFile } from '../../src/plugins/auth-plain/src/oath-file.js';
import { parseOathLine } from '../../src/plugins/auth-plain/src/oath-line.js';
import { acceptCode, hotp, type Token, WINDOW } from '../../src/plugins/auth-plain/src/otp.js';
import { plainPlugin } from '../../src/plugins/auth-plain/src/plain-backend.js';
import { aLogin } from '../support/login.ts';

/** Key of the vectors in RFC 4226 appendix D and RFC 6238 appendix B. */
const KEY = Buffer.from('12345678901234567890');
const HEX = KEY.toString('hex');

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-otp-'));
  file = join(directory, 'users.oath');
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('codes', () => {
  test('RFC 4226 appendix D', () => {
    const expected = '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489'.split(' ');
    expect(expected.map((_, counter) => hotp(KEY, counter, 6))).toEqual(expected);
  });

  test.each([
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ])('RFC 6238 appendix B at %d', (seconds, code) => {
    const token: Token = { stepSec: 30, digits: 8, key: KEY, counter: 0, lastCode: '' };
    expect(hotp(KEY, Math.floor(seconds / 30), 8)).toBe(code);
    expect(acceptCode(token, code, seconds)).toBe(0);
  });

  const event = (counter: number, lastCode = ''): Token => ({
    stepSec: 0,
    digits: 6,
    key: KEY,
    counter,
    lastCode,
  });
  test('HOTP: within the window, never behind it, never the last one again', () => {
    expect(acceptCode(event(3), hotp(KEY, 3, 6), 0)).toBe(4);
    expect(acceptCode(event(3), hotp(KEY, 3 + WINDOW, 6), 0)).toBe(4 + WINDOW);
    expect(acceptCode(event(3), hotp(KEY, 4 + WINDOW, 6), 0)).toBeNull();
    expect(acceptCode(event(3), hotp(KEY, 2, 6), 0)).toBeNull();
    expect(acceptCode(event(3, hotp(KEY, 3, 6)), hotp(KEY, 3, 6), 0)).toBeNull();
  });

  const T = 60_000_000;
  const at = (step: number) => hotp(KEY, T + step, 6);
  const clock = (counter: number, lastCode = ''): Token => ({ ...event(counter, lastCode), stepSec: 30 });
  const check = (token: Token, code: string, step = 0) => acceptCode(token, code, (T + step) * 30 + 7);
  test('TOTP: the drift is learnt and moves the window', () => {
    expect(check(clock(0), at(-5))).toBe(-5);
    expect(check(clock(0), at(WINDOW))).toBe(WINDOW);
    expect(check(clock(0), at(WINDOW + 1))).toBeNull();
    expect(check(clock(10), at(WINDOW + 5))).toBe(WINDOW);
    expect(check(clock(-10), at(WINDOW))).toBeNull();
    expect(check(clock(5000), at(0))).toBe(0);
  });

  test('TOTP: what was accepted, and all before it, is refused', () => {
    expect(check(clock(0, at(0)), at(0))).toBeNull();
    expect(check(clock(0, at(0)), at(-3))).toBeNull();
    expect(check(clock(0, at(0)), at(1), 1)).toBe(0);
    expect(check(clock(0, at(0)), at(0), 5)).toBeNull();
  });

  test.each(['', '75522', '7552244', '75522a', ' 755224', '-55224'])('%j is no code', (text) => {
    expect(acceptCode(event(0), text, 0)).toBeNull();
  });
});

describe('lines', () => {
  test.each([
    [`HOTP alice - ${HEX}`, { stepSec: 0, digits: 6, pin: '', counter: 0, lastCode: '' }],
    [`HOTP/E alice + ${HEX} 7`, { stepSec: 0, digits: 6, pin: '', counter: 7 }],
    [
      `HOTP/E/8\talice\t1234\t${HEX}\t7\t123456\t2026-01-02T03:04:05L`,
      { digits: 8, pin: '1234', lastCode: '123456' },
    ],
    [
      `HOTP/T30 alice - ${HEX} -3 000123 2026-01-02T03:04:05L`,
      { stepSec: 30, counter: -3, lastCode: '000123' },
    ],
    [
      `HOTP/T60/7 alice - ${HEX} 0 2 1234567 2026-01-02T03:04:05L 10.0.0.1`,
      { stepSec: 60, digits: 7, lastCode: '1234567' },
    ],
    [`HOTP alice - ${HEX} 3 1`, { counter: 3, lastCode: '' }],
    ['  HOTP alice - 00  ', { key: Buffer.from([0]) }],
  ])('%s', (line, expected) => {
    expect(parseOathLine(line)).toMatchObject({ userName: 'alice', ...expected });
  });

  test.each([
    '',
    '# HOTP alice - 00',
    'MOTP alice - 00',
    'HOTP alice -',
    'HOTP alice - 0g',
    'HOTP alice - 000',
    'HOTP/E/9 alice - 00',
    'HOTP/T0 alice - 00',
    'HOTP alice - 00 -1',
    'HOTP alice - 00 x',
  ])('%j is none', (line) => expect(parseOathLine(line)).toBeNull());
});

describe('file', () => {
  const use = (userName: string, typed: string, now = new Date(2026, 0, 2, 3, 4, 5)) =>
    new OathFile(file).use({ userName, typed, remoteIp: '192.0.2.9', now });

  test('the use is written down, other lines, mode and comments stay', async () => {
    const other = Buffer.from(`# caf\xe9\nHOTP bob - 00 5\r\n\nHOTP/E alice - ${HEX} 0\n`, 'latin1');
    writeFileSync(file, other);
    chmodSync(file, 0o640);
    expect(await use('alice', '359152')).toBe(true);
    const now = `HOTP/E\talice\t-\t${HEX}\t3\t359152\t2026-01-02T03:04:05L\n`;
    expect(readFileSync(file, 'latin1')).toBe(`# caf\xe9\nHOTP bob - 00 5\r\n\n${now}`);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(await use('alice', '359152')).toBe(false);
    expect(await use('alice', '969429')).toBe(true);
  });

  test("mod_authn_otp's count of failures and address are kept up", async () => {
    writeFileSync(file, `HOTP alice - ${HEX} 0 4 111111 2025-01-02T03:04:05L 10.0.0.1\n`);
    expect(await use('alice', '755224')).toBe(true);
    expect(readFileSync(file, 'utf8')).toBe(
      `HOTP\talice\t-\t${HEX}\t1\t0\t755224\t2026-01-02T03:04:05L\t192.0.2.9\n`,
    );
  });

  test('a PIN is typed before the code', async () => {
    writeFileSync(file, `HOTP alice 98 ${HEX}\n`);
    for (const typed of ['755224', '97755224', '75522498', '98'])
      expect(await use('alice', typed)).toBe(false);
    expect(await use('alice', '98755224')).toBe(true);
  });

  test('any of several tokens of a user', async () => {
    writeFileSync(file, `HOTP alice - 00\nHOTP alice - ${HEX}\n`);
    expect(await use('alice', '755224')).toBe(true);
    expect(await use('alice', hotp(Buffer.from([0]), 0, 6))).toBe(true);
    expect(readFileSync(file, 'utf8').match(/\t1\t/g)).toHaveLength(2);
  });

  test('a wrong code changes nothing', async () => {
    writeFileSync(file, `HOTP alice - ${HEX}\n`);
    const before = statSync(file).ino;
    expect(await use('alice', '000000')).toBe(false);
    expect(await use('bob', '755224')).toBe(false);
    expect(statSync(file).ino).toBe(before);
  });

  test('of many logins with one code, through several descriptors and processes, one succeeds; no use is lost', async () => {
    const users = Array.from({ length: 10 }, (_, i) => `user${i}`);
    writeFileSync(file, users.map((name) => `HOTP ${name} - ${HEX}\n`).join(''));
    const module = join(
      import.meta.dirname,
      '../../src/plugins/auth-plain/dist/plugins/auth-plain/src/oath-file.js',
    );
    const script = `
      import { OathFile } from ${JSON.stringify(module)};
      const attempt = (userName) => ({ userName, typed: '755224', remoteIp: '', now: new Date() });
      const users = ${JSON.stringify(users)};
      const uses = users.map((name) => new OathFile(${JSON.stringify(file)}).use(attempt(name)));
      console.log(JSON.stringify(await Promise.all(uses)));`;
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => runScript(script)));
    const accepted = users.map((_, i) => outcomes.filter((outcome) => outcome[i]).length);
    expect(accepted).toEqual(users.map(() => 1));
    expect(readFileSync(file, 'utf8').match(/\t1\t755224\t/g)).toHaveLength(users.length);
  });

  test('a file that another program left half written under the temporary name is no hindrance', async () => {
    writeFileSync(file, `HOTP alice - ${HEX}\n`);
    writeFileSync(`${file}.new`, 'half');
    expect(await use('alice', '755224')).toBe(true);
  });
});

function runScript(script: string): Promise<boolean[]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(output)) : reject(new Error(`status ${code}`)),
    );
  });
}

describe('logins', () => {
  const warnings: string[] = [];
  async function logIn(userName: string, ...answers: string[]): Promise<Step[]> {
    const log = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
    const options = { passwd: join(directory, 'ocpasswd'), otp: file };
    const backend = await plainPlugin.create(options, { vhost: 'default', log });
    const conversation = backend.begin(aLogin(userName));
    const steps = [await conversation.start()];
    for (const answer of answers) steps.push(await conversation.answer(Buffer.from(answer)));
    return steps;
  }
  beforeEach(async () => {
    const hash = await crypt(Buffer.from('secret'), '$5$rounds=1000$salt');
    const users = [
      `alice:staff:${hash}`,
      `plain:*:${hash}`,
      `locked:*:!${hash}`,
      'empty:tech:',
      'barred:*:!',
    ];
    writeFileSync(join(directory, 'ocpasswd'), users.join('\n'));
    const names = ['alice', 'locked', 'empty', 'barred', 'token'];
    writeFileSync(file, names.map((name) => `HOTP ${name} - ${HEX}\n`).join(''));
  });

  const results = (steps: Step[]) =>
    steps.map((step) => (step.result === 'prompt' ? step.counter : step.result));

  test('the password, then the code as a second round', async () => {
    const steps = await logIn('alice', 'secret', '755224');
    expect(results(steps)).toEqual([0, 1, 'ok']);
    expect(steps[2]).toEqual({ result: 'ok', userName: 'alice', groups: ['staff'] });
    expect(results(await logIn('alice', 'secret', '755224'))).toEqual([0, 1, 'fail']);
    expect(results(await logIn('alice', 'secret', '000000', '287082'))).toEqual([0, 1, 'fail', 'ok']);
  });

  test.each([
    ['the code in place of the password', 'alice', ['755224'], [0, 'fail']],
    ['a wrong password', 'alice', ['no', 'secret'], [0, 'fail', 1]],
    ['an unknown user', 'nobody', ['755224'], [0, 'fail']],
    ['a password without a token', 'plain', ['secret', '755224'], [0, 1, 'fail']],
    ['a locked user', 'locked', ['secret'], [0, 'fail']],
    ['a locked user, by the code alone', 'locked', ['755224'], [0, 'fail']],
    ['a locked user without a password', 'barred', ['755224'], [0, 'fail']],
    ['a token alone', 'token', ['755224'], [0, 'ok']],
    ['a token alone, wrong code first', 'token', ['755225', '755224'], [0, 'fail', 'ok']],
    ['an empty hash, by the code alone', 'empty', ['755224'], [0, 'ok']],
    ['an empty hash, by an empty password', 'empty', [''], [0, 'fail']],
  ])('%s', async (_, user, answers, expected) => {
    expect(results(await logIn(user, ...answers))).toEqual(expected);
  });

  test('lines that are no token are named at the start, without their keys', async () => {
    writeFileSync(file, `# tokens\nMOTP x - ${HEX}\nHOTP alice - ${HEX}\n`);
    await logIn('alice');
    expect(warnings.at(-1)).toMatch(/"lines":\[2\]/);
    expect(warnings.join('')).not.toContain(HEX);
  });

  test('without its file the back end does not start', async () => {
    rmSync(file);
    await expect(logIn('alice')).rejects.toThrow(/ENOENT/);
  });
});
