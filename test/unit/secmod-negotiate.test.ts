/** Logins by tokens in secmod: their sizes, the name that nobody types, and what follows them. */
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import type { AuthBackendPlugin, Credential, LoginContext, Step } from '../../src/core/plugin-api/index.js';
import { combined } from '../../src/core/secmod/combined.js';
import { testLogin } from '../../src/core/secmod/test-login.js';
import { SecmodLab } from '../support/secmod-lab.js';

let lab: SecmodLab | undefined;
afterEach(async () => {
  await lab?.stop();
  lab = undefined;
});

/** Asks once; the answer must be `size` bytes. */
function plugin(credential: Credential, size: number): AuthBackendPlugin {
  const token = credential === 'negotiate' ? { token: Buffer.from('t') } : {};
  return {
    manifest: { name: 'one', options: {}, maxTries: 1, credential },
    create: async () => ({
      begin: () => ({
        start: async () => ({ result: 'prompt', message: '', counter: 0, ...token }),
        answer: async (secret) =>
          secret.length === size
            ? { result: 'ok', userName: 'alice', groups: [], ...token }
            : { result: 'fail', retry: false, message: '' },
      }),
    }),
  };
}

async function logIn(credential: Credential, userName: string, size: number) {
  lab = await SecmodLab.start({ plugin: plugin(credential, size), auth: 'one' });
  const worker = lab.connectWorker();
  const { body } = await worker.call('SEC_AUTH_INIT', lab.init(1, userName));
  if (!body.sid) return [body];
  const answer = { client: 1, sid: body.sid, password: Buffer.alloc(size) };
  return [body, (await worker.call('SEC_AUTH_CONT', answer)).body];
}

test('a token of 12 KB is taken without a user name, and tokens go back', async () => {
  const token = Buffer.from('t');
  expect(await logIn('negotiate', '', 12_000)).toMatchObject([
    { reply: 'MSG', token },
    { reply: 'OK', userName: 'alice', token },
  ]);
});

test('a password is asked for with a name, and has at most 4096 bytes', async () => {
  expect(await logIn('password', '', 8)).toMatchObject([{ reply: 'FAILED' }]);
  await lab?.stop();
  expect(await logIn('password', 'alice', 4096)).toMatchObject([
    { token: null },
    { reply: 'OK', token: null },
  ]);
  await lab?.stop();
  expect(await logIn('password', 'alice', 4097)).toMatchObject([{ reply: 'MSG' }, { reply: 'FAILED' }]);
});

test('the method after a ticket knows whose it was', async () => {
  const seen: string[] = [];
  const answers = (userName: string): Step => ({ result: 'ok', userName, groups: [] });
  const backend = (name: string) => ({
    begin: (login: LoginContext) => {
      seen.push(login.userName);
      return { start: async () => answers(name), answer: async () => answers(name) };
    },
  });
  const log = { info: () => {} } as unknown as Parameters<typeof combined>[1];
  const login = { userName: '' } as LoginContext;
  expect(
    await combined([backend('alice'), backend('alice')], log)
      .begin(login)
      .start(),
  ).toMatchObject({
    result: 'ok',
    userName: 'alice',
  });
  expect(seen).toEqual(['', 'alice']);
  expect(
    await combined([backend('alice'), backend('bob')], log)
      .begin(login)
      .start(),
  ).toMatchObject({
    result: 'fail',
  });
});

test('vpn auth test says that it has no ticket to show', async () => {
  const common = { 'server-cert': ['c'], 'server-key': ['k'], 'ipv4-network': '10.0.0.0/24' };
  const result = await testLogin({
    config: buildConfig({ ...common, auth: ['one'] }, {}, null),
    plugins: new Map([['one', plugin('negotiate', 1)]]),
    userName: '',
    vhost: 'default',
    groupName: '',
    certificate: null,
    answer: async () => 'x',
    log: pino({ level: 'silent' }),
  });
  expect(result.session).toBeNull();
  expect(result.steps).toEqual([
    expect.objectContaining({ step: 'refused', message: expect.stringContaining('ticket') }),
  ]);
});
