/** Logins over memory channels, with the real plain back end and with scripted ones. */
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AuthBackendPlugin, Step } from '../../src/core/plugin-api/index.js';
import { lock, setPassword } from '../../src/core/users/passwd.js';
import { plainPlugin } from '../../src/plugins/auth-plain/src/plain-backend.js';
import { logIn, SecmodLab } from '../support/secmod-lab.js';

let lab: SecmodLab | undefined;
afterEach(async () => {
  await lab?.stop();
  lab = undefined;
});

/** A back end that makes the given steps, whatever it is told. */
function scripted(
  steps: (Step | Promise<Step> | Error)[],
  ends: { count: number } = { count: 0 },
): AuthBackendPlugin {
  return {
    manifest: { name: 'scripted', options: {}, maxTries: 3 },
    create: async () => ({
      begin: () => {
        const left = [...steps];
        const next = async (): Promise<Step> => {
          const step = await left.shift();
          if (!step || step instanceof Error) throw step ?? new Error('no more steps');
          return step;
        };
        return { start: next, answer: next, end: () => ends.count++ };
      },
    }),
  };
}

const ASK: Step = { result: 'prompt', message: '', counter: 0 };
const startScripted = (...steps: (Step | Promise<Step> | Error)[]) =>
  SecmodLab.start({ plugin: scripted(steps), auth: 'scripted' });

describe('with the plain back end', () => {
  let plain: SecmodLab;
  let file: string;

  beforeEach(async () => {
    const passwd = { file: '' };
    const plugin: AuthBackendPlugin = {
      ...plainPlugin,
      create: async (options, host) => {
        passwd.file = String(options.passwd);
        await setPassword(passwd.file, 'alice', 'right', ['staff', 'tech']);
        await setPassword(passwd.file, 'nogroup', 'right', []);
        await setPassword(passwd.file, 'locked', 'right', []);
        await lock(passwd.file, 'locked');
        return plainPlugin.create(options, host);
      },
    };
    plain = lab = await SecmodLab.start({
      plugin,
      auth: 'plain[passwd=$DIR/ocpasswd]',
      config: { banner: 'Hello' },
    });
    file = join(plain.directory, 'ocpasswd');
  });

  test('the right password yields the cookie, which opens a session', async () => {
    const worker = plain.connectWorker();
    const reply = await logIn(worker, plain.init(1, 'alice'), 'right');
    expect(reply).toMatchObject({ reply: 'OK', userName: 'alice', banner: 'Hello' });
    const sid = reply.sid ?? new Uint8Array(32);
    const opened = await plain.main.call('SECM_SESSION_OPEN', { client: 1, sid, remoteIp: '192.0.2.1' });
    expect(opened.body).toMatchObject({
      reply: 'OK',
      session: { userName: 'alice', groupName: 'staff', ip: '192.0.2.1' },
    });
    expect(opened.body.session?.config).toMatchObject({
      ipv4Network: '10.0.0.0',
      ipv4Netmask: '255.255.255.0',
      dpdSec: 90,
    });
  });

  test('a wrong password is asked for again, the right one is then good', async () => {
    const worker = plain.connectWorker();
    expect(await logIn(worker, plain.init(1, 'alice'), 'wrong')).toMatchObject({
      reply: 'MSG',
      message: 'Login failed.\nPlease enter your password.',
      passwdCounter: 0,
    });
    expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'wrong', 'right')).toMatchObject({
      reply: 'OK',
    });
    expect(plain.bans).toEqual([
      { ip: '192.0.2.1', score: 10 },
      { ip: '192.0.2.1', score: 10 },
    ]);
  });

  test('three wrong passwords are the end; another login may begin', async () => {
    const worker = plain.connectWorker();
    expect(await logIn(worker, plain.init(1, 'alice'), 'a', 'b')).toMatchObject({ reply: 'MSG' });
    expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'a', 'b', 'c', 'right')).toMatchObject({
      reply: 'FAILED',
      sid: null,
    });
    const again = plain.connectWorker();
    await logIn(again, plain.init(1, 'alice'), 'a', 'b', 'c');
    expect(await logIn(again, plain.init(1, 'alice'), 'right')).toMatchObject({ reply: 'OK' });
  });

  test.each(['nobody', 'locked', 'alice:staff', '#', 'x'.repeat(64)])(
    'user %j sees the same as with a wrong password',
    async (user) => {
      const known = await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'wrong', 'wrong');
      const other = await logIn(plain.connectWorker(), plain.init(1, user), 'right', 'right');
      expect({ ...other, sid: null }).toEqual({ ...known, sid: null });
      expect(
        await logIn(plain.connectWorker(), plain.init(1, user), 'right', 'right', 'right'),
      ).toMatchObject({ reply: 'FAILED' });
    },
  );

  test.each(['', 'right\0', 'right '.repeat(200), 'Right', '\xff'])(
    'password %j is wrong',
    async (password) => {
      expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), password)).toMatchObject({
        reply: 'MSG',
      });
    },
  );

  test.each([
    ['alice', '', 'OK', 'staff'],
    ['alice', 'tech', 'OK', 'tech'],
    ['alice', 'admin', 'FAILED', ''],
    ['nogroup', '', 'OK', ''],
    ['nogroup', 'staff', 'FAILED', ''],
  ])('user %s selecting group %j: %s, in group %j', async (user, groupName, result, group) => {
    const reply = await logIn(plain.connectWorker(), plain.init(1, user, { groupName }), 'right');
    expect(reply.reply).toBe(result);
    const { cookies } = (await plain.main.call('SECM_LIST_COOKIES', {})).body;
    const status = result === 'OK' ? 'authenticated' : 'auth failed';
    expect(cookies).toMatchObject([{ status, ...(result === 'OK' ? { groupName: group } : {}) }]);
  });

  test('a change of the file counts at once; a file that breaks fails the login, not the process', async () => {
    await setPassword(file, 'alice', 'new');
    expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'right')).toMatchObject({
      reply: 'MSG',
    });
    expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'new')).toMatchObject({ reply: 'OK' });
    writeFileSync(file, Buffer.alloc(1000, 0xff));
    expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'new')).toMatchObject({ reply: 'MSG' });
    rmSync(file);
    expect(await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'new')).toMatchObject({
      reply: 'FAILED',
    });
  });

  test('no password and no cookie is in the log', async () => {
    const reply = await logIn(plain.connectWorker(), plain.init(1, 'alice'), 'wr0ng-one', 'right');
    const log = plain.logged.join('');
    const sid = Buffer.from(reply.sid ?? []);
    expect(log).toContain('user logged in');
    for (const secret of ['wr0ng-one', sid.toString('base64'), sid.toString('hex'), '$5$'])
      expect(log).not.toContain(secret);
  });
});

describe('what a worker claims', () => {
  test.each([
    ['another address', { origRemoteIp: '192.0.2.99', remoteIp: '192.0.2.99' }],
    ['an address that is not that of the connection', { remoteIp: '192.0.2.99' }],
    ['another server address', { ourIp: '192.0.2.99' }],
    ['another time', { sessionStartTime: 1_800_000_001 }],
    ['no HMAC', { hmac: Buffer.alloc(32) }],
    ['an unknown virtual host', { vhost: 'other' }],
    ['no user name', { userName: '' }],
  ])('%s is refused', async (_, changes) => {
    lab = await startScripted(ASK);
    const { body } = await lab.connectWorker().call('SEC_AUTH_INIT', lab.init(1, 'alice', changes));
    expect(body).toMatchObject({ reply: 'FAILED', sid: null });
    expect((await lab.main.call('SECM_LIST_COOKIES', {})).body.cookies).toEqual([]);
  });

  test('an HMAC is good for auth-timeout', async () => {
    lab = await startScripted(ASK);
    const init = lab.init(1, 'alice');
    lab.nowMs += 239_000;
    expect(await logIn(lab.connectWorker(), init)).toMatchObject({ reply: 'MSG' });
    lab.nowMs += 1000;
    expect(await logIn(lab.connectWorker(), init)).toMatchObject({ reply: 'FAILED' });
  });

  test('the SID of another login ends the login', async () => {
    lab = await startScripted(ASK, { result: 'ok', userName: 'alice', groups: [] });
    const worker = lab.connectWorker();
    await worker.call('SEC_AUTH_INIT', lab.init(1, 'alice'));
    const answer = { client: 1, sid: randomBytes(32), password: Buffer.from('x') };
    expect((await worker.call('SEC_AUTH_CONT', answer)).body.reply).toBe('FAILED');
  });

  test('an answer without a login, and a second login beside one that runs, break the protocol', async () => {
    lab = await startScripted(ASK);
    const closed = Promise.withResolvers<void>();
    const worker = lab.connectWorker(closed.resolve);
    worker
      .call('SEC_AUTH_CONT', { client: 1, sid: randomBytes(32), password: Buffer.from('x') })
      .catch(() => {});
    await closed.promise;
    const other = Promise.withResolvers<void>();
    const second = lab.connectWorker(other.resolve);
    await second.call('SEC_AUTH_INIT', lab.init(1, 'alice'));
    second.call('SEC_AUTH_INIT', lab.init(1, 'bob')).catch(() => {});
    await other.promise;
    expect((await lab.main.call('SECM_LIST_COOKIES', {})).body.cookies).toEqual([]);
  });

  test('more logins than a worker can serve push out the oldest', async () => {
    lab = await startScripted(ASK);
    const worker = lab.connectWorker();
    for (let client = 1; client <= 30; client++)
      await worker.call('SEC_AUTH_INIT', lab.init(client, 'alice'));
    const { cookies } = (await lab.main.call('SECM_LIST_COOKIES', {})).body;
    expect(cookies).toHaveLength(2 + 16);
  });
});

describe('a back end', () => {
  test('with several rounds: prompts and counters reach the worker, and no points are counted', async () => {
    const code: Step = { result: 'prompt', message: 'Code:', counter: 1 };
    lab = await startScripted(ASK, code, { result: 'ok', userName: 'Alice', groups: ['g1'] });
    const init = lab.init(1, 'alice');
    expect(await logIn(lab.connectWorker(), init, 'pw')).toMatchObject({
      reply: 'MSG',
      message: 'Code:',
      passwdCounter: 1,
    });
    expect(await logIn(lab.connectWorker(), init, 'pw', '123')).toMatchObject({
      reply: 'OK',
      userName: 'Alice',
    });
    expect(lab.bans).toEqual([]);
  });

  test('that throws fails the login, not the process', async () => {
    lab = await startScripted(ASK, new Error('broken'));
    expect(await logIn(lab.connectWorker(), lab.init(1, 'alice'), 'pw')).toMatchObject({ reply: 'FAILED' });
    expect(await logIn(lab.connectWorker(), lab.init(1, 'alice'))).toMatchObject({ reply: 'MSG' });
  });

  test('that does not answer is given up at the deadline, and is told so', async () => {
    const told = Promise.withResolvers<void>();
    const plugin: AuthBackendPlugin = {
      manifest: { name: 'slow', options: {}, maxTries: 3 },
      create: async () => ({
        begin: ({ signal }) => ({
          start: async () => ASK,
          answer: () => {
            signal.addEventListener('abort', () => told.resolve());
            // The deadline passes while the back end is working.
            if (lab) lab.nowMs += 240_000;
            lab?.secmod.expire();
            return new Promise<Step>(() => {});
          },
        }),
      }),
    };
    lab = await SecmodLab.start({ plugin, auth: 'slow' });
    expect(await logIn(lab.connectWorker(), lab.init(1, 'alice'), 'pw')).toMatchObject({ reply: 'FAILED' });
    await told.promise;
  });

  test('is told when the client leaves; the worker and its other clients go on', async () => {
    const asked = Promise.withResolvers<void>();
    const told = Promise.withResolvers<void>();
    const plugin: AuthBackendPlugin = {
      manifest: { name: 'slow', options: {}, maxTries: 3 },
      create: async () => ({
        begin: ({ signal, userName }) => ({
          start: async () => ASK,
          answer: () => {
            if (userName === 'quick') return Promise.resolve({ result: 'ok', userName, groups: [] });
            signal.addEventListener('abort', () => told.resolve());
            asked.resolve();
            return new Promise<Step>(() => {});
          },
        }),
      }),
    };
    lab = await SecmodLab.start({ plugin, auth: 'slow' });
    const worker = lab.connectWorker();
    const waiting = logIn(worker, lab.init(1, 'alice'), 'pw');
    await asked.promise;
    worker.send('SEC_AUTH_END', { client: 1 });
    await told.promise;
    expect(await waiting).toMatchObject({ reply: 'FAILED' });
    expect((await lab.main.call('SECM_LIST_COOKIES', {})).body.cookies).toEqual([]);

    expect(await logIn(worker, lab.init(2, 'quick'), 'pw')).toMatchObject({ reply: 'OK' });
    // Neither of a login that is over nor of one that never was.
    for (const client of [2, 3]) worker.send('SEC_AUTH_END', { client });
    expect(await logIn(worker, lab.init(4, 'quick'), 'pw')).toMatchObject({ reply: 'OK' });
    expect((await lab.main.call('SECM_LIST_COOKIES', {})).body.cookies).toHaveLength(2);
  });

  test('gets no answer that comes after the deadline; the worker keeps its connection', async () => {
    lab = await startScripted(ASK, { result: 'ok', userName: 'alice', groups: [] });
    const worker = lab.connectWorker();
    const { sid } = await logIn(worker, lab.init(1, 'alice'));
    lab.nowMs += 240_000;
    await lab.secmod.expire();
    const answer = { client: 1, sid: sid ?? randomBytes(32), password: Buffer.from('pw') };
    expect((await worker.call('SEC_AUTH_CONT', answer)).body.reply).toBe('FAILED');
    expect(await logIn(worker, lab.init(2, 'alice'), 'pw')).toMatchObject({ reply: 'OK' });
  });

  test('whose user is banned meanwhile gets no other try', async () => {
    lab = await startScripted(ASK, { result: 'fail', retry: true, message: '' });
    lab.banAllowed = false;
    expect(await logIn(lab.connectWorker(), lab.init(1, 'alice'), 'pw')).toMatchObject({ reply: 'FAILED' });
  });

  test('is told the end once, and a worker that goes away takes its open logins along', async () => {
    const ends = { count: 0 };
    const plugin = scripted([ASK, { result: 'ok', userName: 'alice', groups: [] }], ends);
    lab = await SecmodLab.start({ plugin, auth: 'scripted' });
    const worker = lab.connectWorker();
    await logIn(worker, lab.init(1, 'alice'), 'pw');
    await logIn(worker, lab.init(2, 'alice'));
    expect(ends.count).toBe(1);
    worker.close();
    while (ends.count < 2) await new Promise(setImmediate);
    const { cookies } = (await lab.main.call('SECM_LIST_COOKIES', {})).body;
    expect(cookies).toMatchObject([{ status: 'authenticated' }]);
  });
});

test('failures and times are reported to main, failures once', async () => {
  lab = await startScripted(
    ASK,
    { result: 'fail', retry: true, message: '' },
    { result: 'ok', userName: 'alice', groups: [] },
  );
  await logIn(lab.connectWorker(), lab.init(1, 'alice'), 'a', 'b');
  for (let i = 0; i < 4; i++) await lab.secmod.report();
  await lab.main.call('SECM_LIST_COOKIES', {});
  expect(lab.stats).toMatchObject([{ clientEntries: 1, authFailures: 1 }, { authFailures: 0 }]);
});

test('steps are told many at a time, and none twice', async () => {
  lab = await startScripted(...Array.from({ length: 40 }, () => ASK));
  const worker = lab.connectWorker();
  for (let client = 1; client <= 40; client++) await logIn(worker, lab.init(client, 'alice'));
  await lab.main.call('SECM_LIST_COOKIES', {});
  // As many as a message carries do not wait for the report.
  expect(lab.steps).toHaveLength(32);
  await lab.toldSteps();
  await lab.toldSteps();
  expect(lab.steps).toHaveLength(40);
  expect(lab.steps.every(({ result }) => result === 'prompted')).toBe(true);
});

test('as many failures again are reported again', async () => {
  const wrong: Step = { result: 'fail', retry: true, message: '' };
  lab = await startScripted(ASK, wrong, wrong);
  const worker = lab.connectWorker();
  const first = await logIn(worker, lab.init(1, 'alice'), 'a');
  await lab.secmod.report();
  const answer = { client: 1, sid: first.sid ?? randomBytes(32), password: Buffer.from('b') };
  await worker.call('SEC_AUTH_CONT', answer);
  await lab.secmod.report();
  await lab.main.call('SECM_LIST_COOKIES', {});
  expect(lab.stats.map(({ authFailures }) => authFailures)).toEqual([1, 1]);
});

test('terminating a user ends logins and cookies', async () => {
  lab = await startScripted(ASK, { result: 'ok', userName: 'alice', groups: [] });
  const worker = lab.connectWorker();
  const { sid } = await logIn(worker, lab.init(1, 'alice'), 'pw');
  const half = await logIn(worker, lab.init(2, 'alice'));
  expect((await lab.main.call('SECM_TERMINATE_USER_SESSIONS', { userName: 'alice' })).body.count).toBe(2);
  const opened = await lab.main.call('SECM_SESSION_OPEN', {
    client: 1,
    sid: sid ?? randomBytes(32),
    remoteIp: '',
  });
  expect(opened.body.reply).toBe('FAILED');
  const answer = { client: 2, sid: half.sid ?? randomBytes(32), password: Buffer.from('pw') };
  expect((await worker.call('SEC_AUTH_CONT', answer)).body.reply).toBe('FAILED');
  // The back end was not even asked.
  expect(lab.logged.join('')).toContain('the session was terminated');
});

describe('main', () => {
  test('that reloads a broken configuration is told so, and the old one stays', async () => {
    lab = await startScripted(ASK);
    lab.nextConfig = () => {
      throw new Error('line 3 is wrong');
    };
    expect((await lab.main.call('SECM_RELOAD', { keysOnly: false })).body).toMatchObject({
      ok: false,
      reason: 'line 3 is wrong',
    });
    expect(await logIn(lab.connectWorker(), lab.init(1, 'alice'))).toMatchObject({ reply: 'MSG' });
  });

  test('that is replaced leaves its cookies to the next one', async () => {
    lab = await startScripted(ASK, { result: 'ok', userName: 'alice', groups: [] });
    const { sid } = await logIn(lab.connectWorker(), lab.init(1, 'alice'), 'pw');
    lab.main.close();
    const next = lab.connectMain();
    await next.call('SECM_STARTUP', { hmacKey: randomBytes(32), workerUid: 1 });
    const opened = await next.call('SECM_SESSION_OPEN', {
      client: 9,
      sid: sid ?? randomBytes(32),
      remoteIp: '192.0.2.1',
    });
    expect(opened.body.reply).toBe('OK');
    // Its workers' HMACs are made with the new key.
    expect(await logIn(lab.connectWorker(), lab.init(1, 'alice'))).toMatchObject({ reply: 'FAILED' });
  });

  test.each([
    ['main', 0, true],
    ['main', 65_534, false],
    ['worker', 0, true],
    ['worker', 65_534, true],
    ['worker', 1000, false],
  ] as const)('role %s with uid %i is accepted: %s', async (role, uid, accepted) => {
    lab = await startScripted(ASK);
    expect(lab.secmod.accept(role, { pid: 1, uid, gid: 0 }) !== null).toBe(accepted);
  });
});
