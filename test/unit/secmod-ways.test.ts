/** Several methods for one virtual host: all of auth, or any of enable-auth. */
import { afterEach, expect, test } from 'vitest';
import type { AuthBackendPlugin, Credential, Step } from '../../src/core/plugin-api/index.js';
import { logIn, SecmodLab } from '../support/secmod-lab.js';

let lab: SecmodLab | undefined;
afterEach(async () => {
  await lab?.stop();
  lab = undefined;
});

interface Scripted {
  readonly credential?: Credential;
  readonly start: Step;
  readonly answer?: (secret: string) => Step;
}

const closed: string[] = [];
const ended: string[] = [];

function method(name: string, { credential, start, answer }: Scripted): AuthBackendPlugin {
  return {
    manifest: { name, options: {}, maxTries: 3, ...(credential && { credential }) },
    create: async () => ({
      begin: () => ({
        start: async () => start,
        answer: async (secret) =>
          answer?.(Buffer.from(secret).toString()) ?? { result: 'fail', retry: true, message: '' },
        end: () => void ended.push(name),
      }),
      close: () => void closed.push(name),
      groups: async () => [name, 'both'],
    }),
  };
}

const ok = (userName: string, ...groups: string[]): Step => ({ result: 'ok', userName, groups });
const ASK: Step = { result: 'prompt', message: '', counter: 0 };
const FAIL: Step = { result: 'fail', retry: false, message: '' };
const password = (...groups: string[]) =>
  method('password', {
    start: ASK,
    answer: (secret) =>
      secret === 'right' ? ok('alice', ...groups) : { result: 'fail', retry: true, message: '' },
  });
const card = (start: Step) => method('card', { credential: 'certificate', start });

async function startWith(
  auth: readonly string[],
  enabled: readonly string[],
  ...plugins: AuthBackendPlugin[]
) {
  closed.length = 0;
  ended.length = 0;
  const config = { auth, 'enable-auth': enabled };
  lab = await SecmodLab.start({ plugins, auth: auth[0] ?? '', config });
  return lab;
}

async function groupOf(made: SecmodLab, sid: Uint8Array | null): Promise<string | undefined> {
  const body = { client: 1, sid: sid ?? new Uint8Array(32), remoteIp: '192.0.2.1' };
  return (await made.main.call('SECM_SESSION_OPEN', body)).body.session?.groupName;
}

test.each([
  ['password', 'card'],
  ['card', 'password'],
])('both of auth must pass: %s, %s', async (...auth) => {
  const made = await startWith(auth, [], password(), card(ok('alice', 'card-group')));
  const good = await logIn(made.connectWorker(), made.init(1, 'alice'), 'right');
  expect(good).toMatchObject({ reply: 'OK', userName: 'alice' });
  // The method with groups decides them.
  expect(await groupOf(made, good.sid)).toBe('card-group');
  expect(ended).toEqual(['card', 'password']);
  await made.toldSteps();
  expect(made.steps.at(-1)).toMatchObject({ method: 'card+password', result: 'accepted' });
  expect(await logIn(made.connectWorker(), made.init(1, 'alice'), 'wrong')).toMatchObject({ reply: 'MSG' });
  const thrice = await logIn(made.connectWorker(), made.init(1, 'alice'), 'wrong', 'wrong', 'wrong', 'right');
  expect(thrice).toMatchObject({ reply: 'FAILED' });
});

test('the first of two that refuses ends the login before the other is asked', async () => {
  const made = await startWith(['password', 'card'], [], password(), card(FAIL));
  expect(await logIn(made.connectWorker(), made.init(1, 'alice'))).toMatchObject({ reply: 'FAILED' });
  expect(ended).toEqual(['card']);
});

test.each([
  ['a certificate of somebody else', 'alice', ok('mallory')],
  ['a password of somebody else', 'mallory', ok('mallory')],
])('two methods must name one user: %s', async (_, typed, shown) => {
  const made = await startWith(['password', 'card'], [], password(), card(shown));
  expect(await logIn(made.connectWorker(), made.init(1, typed), 'right')).toMatchObject({ reply: 'FAILED' });
  expect(made.logged.join('')).toContain('name different users');
});

test('groups of the password win, and the selected one must be among them', async () => {
  const made = await startWith(['password', 'card'], [], password('staff'), card(ok('alice', 'card-group')));
  const good = await logIn(made.connectWorker(), made.init(1, 'alice', { groupName: 'staff' }), 'right');
  expect(await groupOf(made, good.sid)).toBe('staff');
  const other = made.init(1, 'alice', { groupName: 'card-group' });
  expect(await logIn(made.connectWorker(), other, 'right')).toMatchObject({ reply: 'FAILED' });
});

test('any method of enable-auth is enough by itself', async () => {
  const made = await startWith(['password'], ['card'], password(), card(ok('carl')));
  const byCard = await logIn(made.connectWorker(), made.init(1, '', { way: 1 }));
  expect(byCard).toMatchObject({ reply: 'OK', userName: 'carl' });
  await made.toldSteps();
  expect(made.steps.map(({ method }) => method)).toEqual(['card']);
  expect(await logIn(made.connectWorker(), made.init(1, 'alice'), 'right')).toMatchObject({ reply: 'OK' });
  expect(await logIn(made.connectWorker(), made.init(1, ''), 'right')).toMatchObject({ reply: 'FAILED' });
  expect(await logIn(made.connectWorker(), made.init(1, 'x', { way: 2 }))).toMatchObject({ reply: 'FAILED' });
  expect(made.logged.join('')).toContain('no such way to log in');
});

test('a method that is named in auth and in enable-auth is one back end, ended once', async () => {
  const made = await startWith(['card', 'password'], ['card'], password(), card(ok('alice')));
  await made.stop();
  lab = undefined;
  expect(closed.sort()).toEqual(['card', 'password']);
});

test('a method that does not exist ends the start, with those that were made', async () => {
  await expect(startWith(['card'], ['crad'], card(ok('x')))).rejects.toThrow(
    /enable-auth: crad.*did you mean card/,
  );
  expect(closed).toEqual(['card']);
});

test('the groups of all methods are offered', async () => {
  const config = { auth: ['password', 'card'], 'auto-select-group': true };
  lab = await SecmodLab.start({ plugins: [password(), card(ok('x'))], auth: 'password', config });
  const { body } = await lab.connectWorker().call('SEC_GET_VHOST', { vhost: 'default' });
  expect(body.groups.sort()).toEqual(['both', 'card', 'password']);
});
