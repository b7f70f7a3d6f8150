/** The pam back end on real PAM, with a module of the test's own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, cpSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuthBackendPlugin, Conversation, Step } from '../../src/core/plugin-api/index.js';
import { loadAddon } from '../../src/plugins/auth-pam/src/addon.js';
import { createPamBackend, pamPlugin } from '../../src/plugins/auth-pam/src/pam-backend.js';
import { aLogin } from '../support/login.ts';
import { buildPamModule, writeService } from '../support/pam.ts';
import { until } from '../support/wait.ts';

let directory: string;
let module: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-pam-'));
  module = buildPamModule(directory);
});
afterAll(() => rmSync(directory, { recursive: true }));

const logged: string[] = [];
const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(line) });
const host = { vhost: 'default', log };
let services = 0;

/** A login through a service with these arguments for the module. */
function begin(args: string[], userName = 'nobody', gidMin?: number): Conversation {
  const service = `s${services++}`;
  writeService(directory, service, module, ...args);
  const options = { service, ...(gidMin === undefined ? {} : { 'gid-min': gidMin }) };
  return createPamBackend(options, host, directory).begin(aLogin(userName));
}

async function run(conversation: Conversation, ...answers: (string | Uint8Array)[]): Promise<Step[]> {
  const steps = [await conversation.start()];
  for (const answer of answers) steps.push(await conversation.answer(Buffer.from(answer as string)));
  conversation.end?.();
  return steps;
}

const prompt = (message: string, counter: number) => ({ result: 'prompt', message, counter });
const ok = expect.objectContaining({ result: 'ok' });
const fail = expect.objectContaining({ result: 'fail', retry: false });
const quiet = () => until('all threads to end', () => loadAddon().threads().running === 0 || undefined);

describe('conversation', () => {
  test('a password in the standard words', async () => {
    expect(await run(begin(['ask=Password:_=secret']), 'secret')).toEqual([prompt('', 0), ok]);
    expect(await run(begin(['ask=Password:_=secret']), 'Secret')).toEqual([prompt('', 0), fail]);
  });

  test('two prompts, one round each', async () => {
    const args = ['ask=Password:=secret', 'ask=Code_of_the_day:=42'];
    expect(await run(begin(args), 'secret', '42')).toEqual([
      prompt('', 0),
      prompt('Code of the day:', 1),
      ok,
    ]);
    expect((await run(begin(args), 'secret', '43')).at(-1)).toEqual(fail);
  });

  test('three messages in one call', async () => {
    const first = prompt('Two halves, please.\nLeft: ', 0);
    expect(await run(begin(['three']), 'left', 'right')).toEqual([first, prompt('Right: ', 1), ok]);
    expect((await run(begin(['three']), 'right', 'left')).at(-1)).toEqual(fail);
  });

  test('no prompt at all', async () => {
    expect(await run(begin([]))).toEqual([ok]);
  });

  test('the module sees where the client is', async () => {
    const service = `s${services}`;
    const [step] = await run(begin(['items', 'ask=Go:=on'], 'alice'));
    expect(step).toEqual(prompt(`192.0.2.7 ${service} ${service} alice\nGo:`, 0));
  });

  test.each([
    ['200 characters', 'p'.repeat(200)],
    ['200 characters of several bytes', 'ü'.repeat(200)],
    ['none', ''],
    ['as many bytes as PAM takes', 'p'.repeat(511)],
  ])('a password of %s', async (_, password) => {
    expect((await run(begin([`ask=Password:=${password}`]), password)).at(-1)).toEqual(ok);
    expect((await run(begin([`ask=Password:=${password}`]), `${password.slice(1)}x`)).at(-1)).toEqual(fail);
  });

  test('a longer password is refused', async () => {
    expect(await run(begin(['three']), 'p'.repeat(512))).toEqual([expect.anything(), fail]);
  });

  test('what comes before a NUL byte is not the password', async () => {
    expect((await run(begin(['ask=Password:=secret']), 'secret\0x')).at(-1)).toEqual(fail);
    expect(await run(begin(['ask=Password:=secret'], 'root\0x'))).toEqual([fail]);
  });

  test('a module that asks on and on is cut off', async () => {
    const conversation = begin(['forever']);
    let step = await conversation.start();
    for (let rounds = 0; step.result === 'prompt' && rounds < 100; rounds++) {
      step = await conversation.answer(Buffer.from('x'));
    }
    conversation.end?.();
    expect(step).toEqual(fail);
    await quiet();
  });

  test('an answer that nobody asked for is an error', async () => {
    const conversation = begin([]);
    await conversation.start();
    await expect(conversation.answer(Buffer.from('x'))).rejects.toThrow('expects no answer');
  });
});

describe('account', () => {
  test.each([
    ['expired', 13],
    ['denied', 6],
  ])('%s: the right password does not help, and the log says why', async (_, code) => {
    const steps = await run(begin(['ask=Password:=secret', `account=${code}`]), 'secret');
    expect(steps.at(-1)).toEqual({ result: 'fail', retry: false, message: 'The account says no.' });
    expect(logged.at(-1)).toContain(`"stage":"account","code":${code}`);
  });

  test('an expired password is changed in further rounds', async () => {
    const args = ['ask=Password:=secret', 'account=12', 'change'];
    const asked = [
      prompt('', 0),
      prompt('The account says no.\nNew password: ', 1),
      prompt('Retype new password: ', 2),
    ];
    expect(await run(begin(args), 'secret', 'fresh', 'fresh')).toEqual([...asked, ok]);
    expect(await run(begin(args), 'secret', 'fresh', 'other')).toEqual([...asked, fail]);
    expect((await run(begin(args.slice(0, 2)), 'secret')).at(-1)).toEqual(fail);
  });

  test('groups are the Unix groups from gid-min on; the module may name another user', async () => {
    const names = (...flags: string[]) =>
      execFileSync('id', [...flags, 'games'])
        .toString()
        .trim()
        .split(' ');
    const groups = names('-Gn');
    expect(await run(begin(['user=games']))).toEqual([{ result: 'ok', userName: 'games', groups }]);
    const above = Math.max(...names('-G').map(Number)) + 1;
    expect(await run(begin(['user=games'], 'x', above))).toEqual([
      { result: 'ok', userName: 'games', groups: [] },
    ]);
  });

  test('a user without a Unix account has no groups', async () => {
    expect(await run(begin([], 'not-there'))).toEqual([{ result: 'ok', userName: 'not-there', groups: [] }]);
  });

  test('a service that is missing lets nobody in', async () => {
    const backend = createPamBackend({ service: 'not-there' }, host, directory);
    expect((await run(backend.begin(aLogin('x')))).at(-1)).toEqual(fail);
  });

  test.each(['../passwd', '/etc/pam.d/login', 'a b'])('service=%s is refused', async (service) => {
    await expect(pamPlugin.create({ service }, host)).rejects.toThrow('/etc/pam.d');
  });
});

describe('threads', () => {
  const makeFifo = () => {
    const fifo = join(directory, `fifo${services}`);
    execFileSync('mkfifo', [fifo]);
    return fifo;
  };
  /** Lets every module that hangs on it go on. */
  const open = async (fifo: string) => {
    const fd = openSync(fifo, 'r+');
    await quiet();
    closeSync(fd);
  };

  test('a hanging module holds up neither the loop nor other logins, and its thread is not forgotten', async () => {
    const fifo = makeFifo();
    const hanging = begin([`hang=${fifo}`]);
    const stuck = hanging.start();
    expect(await run(begin(['ask=Password:=secret']), 'secret')).toEqual([prompt('', 0), ok]);
    hanging.end?.();
    expect(loadAddon().threads()).toEqual({ running: 1, abandoned: 1 });
    await open(fifo);
    expect(loadAddon().threads()).toEqual({ running: 0, abandoned: 0 });
    expect(await Promise.race([stuck, sleep(20, 'nothing')])).toBe('nothing');
  });

  test('when too many hang, logins are refused until some end', async () => {
    const fifo = makeFifo();
    const hanging = Array.from({ length: 32 }, () => begin([`hang=${fifo}`]));
    for (const conversation of hanging) {
      void conversation.start();
      conversation.end?.();
    }
    await expect(begin([]).start()).rejects.toThrow('hang in their modules');
    await open(fifo);
    expect(await run(begin([]))).toEqual([ok]);
  });

  test('a login that is given up at a prompt ends at once, without the pause after a failure', async () => {
    const conversation = begin(['delay=30000000', 'ask=Password:=secret']);
    await conversation.start();
    conversation.end?.();
    await quiet();
  });

  test('200 at once, each with its own answers', async () => {
    const logins = Array.from({ length: 200 }, (_, i) =>
      run(begin([`ask=Password:=secret${i}`, 'ask=Code:=7']), `secret${i}`, i % 2 ? '7' : '8'),
    );
    const last = (await Promise.all(logins)).map((steps) => steps.at(-1)?.result);
    expect(last).toEqual(last.map((_, i) => (i % 2 ? 'ok' : 'fail')));
  });

  test('a process with hanging and waiting transactions ends', () => {
    const fifo = makeFifo();
    writeService(directory, 'hang', module, `hang=${fifo}`);
    writeService(directory, 'wait', module, 'ask=Password:=x');
    const addon = join(import.meta.dirname, '../../src/plugins/auth-pam/native/build/Release/ocvpn_pam.node');
    const script = `
      const { Transaction } = require(${JSON.stringify(addon)});
      const rest = { user: 'x', remoteHost: '', tty: '', confdir: ${JSON.stringify(directory)} };
      const kept = [new Transaction({ service: 'hang', ...rest }, () => {})];
      kept.push(new Transaction({ service: 'wait', ...rest }, () => process.exit(7)));
      setInterval(() => {}, 1000);`;
    expect(spawnSync(process.execPath, ['-e', script], { timeout: 10_000 })).toMatchObject({ status: 7 });
  });
});

test('without the addon the plugin registers, and names the Debian package when it is wanted', async () => {
  const built = join(import.meta.dirname, '../../src/plugins/auth-pam');
  for (const part of ['package.json', 'dist'])
    cpSync(join(built, part), join(directory, 'alone', part), { recursive: true });
  const hook = await import(join(directory, 'alone/dist/plugins/auth-pam/src/hook.js'));
  const registered: AuthBackendPlugin[] = [];
  hook.default({
    apiVersion: 1,
    register: (plugin: AuthBackendPlugin) => registered.push(plugin),
    registerAccounting: () => {},
  });
  expect(registered.map(({ manifest }) => manifest.name)).toEqual(['pam']);
  await expect(registered[0]?.create({}, host)).rejects.toThrow('install the Debian package libpam0g-dev');
});

test('no answer is in the log', () => {
  expect(logged.join('')).not.toMatch(/secret|fresh|ppp/);
});
