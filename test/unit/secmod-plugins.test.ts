/** Finding plugins by oclif's metadata, and making back ends from `auth`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import type {
  AccountedSession,
  AccountingPlugin,
  AuthBackend,
  AuthBackendPlugin,
  LoginContext,
  SessionUsage,
} from '../../src/core/plugin-api/index.js';
import { createAccounting, createBackend } from '../../src/core/secmod/backends.js';
import { loadAuthPlugins, pluginLists } from '../../src/core/secmod/plugins.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ocvpn-plugins-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function host(...plugins: string[]): string {
  const file = join(root, 'package.json');
  writeFileSync(file, JSON.stringify({ oclif: { plugins } }));
  return file;
}

function plugin(name: string, code: string, hooks: object = { 'vpn:auth-backends': './hook.js' }): void {
  const directory = join(root, 'node_modules', name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, type: 'module', oclif: { hooks } }));
  writeFileSync(join(directory, 'hook.js'), code);
}

const registers = (name: string) =>
  `export default ({ register }) => register({ manifest: { name: '${name}', options: {}, maxTries: 3 } })`;

describe('plugins', () => {
  test('register their back ends through the hook; those without one are passed over', async () => {
    plugin('one', registers('radius'));
    plugin('other', 'throw new Error("never loaded")', { init: './hook.js' });
    expect([...(await loadAuthPlugins(host('one', 'other'))).auth.keys()]).toEqual(['radius']);
  });

  test.each([
    ['is not installed', '', 'missing'],
    ['throws', 'throw new Error("broken inside")', 'broken inside'],
    ['exports nothing', 'export const hook = 1', 'default export'],
  ])('one that %s is named in the error', async (_, code, reason) => {
    if (code) plugin('bad', code);
    const failure = loadAuthPlugins(host(code ? 'bad' : 'missing'));
    await expect(failure).rejects.toMatchObject({
      code: 'OCS_PLUGIN',
      message: expect.stringContaining(reason),
    });
  });

  test('two with the same name are refused', async () => {
    plugin('one', registers('pam'));
    plugin('two', registers('pam'));
    await expect(loadAuthPlugins(host('one', 'two'))).rejects.toMatchObject({ code: 'OCS_PLUGIN' });
  });

  test('those of this package are found', async () => {
    expect([...(await loadAuthPlugins(...pluginLists(root))).auth.keys()]).toEqual(
      expect.arrayContaining(['pam', 'plain']),
    );
  });
});

test('an accounting back end that throws loses a record and is logged; admit still decides', async () => {
  const broken = () => {
    throw new Error('no room');
  };
  const plugin: AccountingPlugin = {
    manifest: { name: 'broken', options: {} },
    create: async () => ({ admit: async () => false, start: broken, interim: broken, stop: broken }),
  };
  const base = {
    auth: ['plain[passwd=/x]'],
    'server-cert': ['c'],
    'server-key': ['k'],
    'ipv4-network': '10.0.0.0/8',
  };
  const { default: vhost } = buildConfig({ ...base, acct: 'broken' }, {}, 'test');
  const lines: string[] = [];
  const log = pino({}, { write: (line) => lines.push(line) });
  const host = { stateDir: root, endSessions: async () => 0, changeSessions: async () => 0 };
  const backend = await createAccounting(vhost, new Map([['broken', plugin]]), host, log);
  const [session, usage] = [{} as AccountedSession, {} as SessionUsage];
  backend?.start(session);
  backend?.interim(session, usage);
  backend?.stop(session, usage, 'other');
  expect(lines.join('').match(/"accounting":"broken".*no room.*cannot take a record/g)).toHaveLength(3);
  expect(await backend?.admit?.(session)).toBe(false);
});

describe('auth', () => {
  const given: object[] = [];
  const pam: AuthBackendPlugin = {
    manifest: {
      name: 'pam',
      maxTries: 3,
      options: {
        service: { type: 'string', required: true, positional: true, doc: '' },
        'gid-min': { type: 'number', doc: '' },
        strict: { type: 'boolean', doc: '' },
      },
    },
    create: async (options) => {
      given.push(options);
      return { begin: () => Promise.reject(new Error('unused')) as never };
    },
  };
  const document = {
    auth: ['pam[vpn]'],
    'server-cert': ['c'],
    'server-key': ['k'],
    'ipv4-network': '10.0.0.0/24',
  };
  const base = buildConfig(document, {}, null).default;
  const create = (auth: string) =>
    createBackend(
      buildConfig({ ...document, auth: [auth] }, {}, null).default,
      'auth',
      auth,
      new Map([['pam', pam]]),
      pino({ level: 'silent' }),
    );

  test.each([
    ['pam[service=vpn]', { service: 'vpn' }],
    ['pam[vpn]', { service: 'vpn' }],
    ['pam[ service = "a b" , gid-min=1000,strict=TRUE]', { service: 'a b', 'gid-min': 1000, strict: true }],
  ])('%s', async (auth, options) => {
    await create(auth);
    expect(given.pop()).toEqual(options);
  });

  test.each([
    ['pan[vpn]', 'did you mean pam?'],
    ['pam', 'service= is missing'],
    ['pam[service=]', 'service is empty'],
    ['pam[vpn,servise=x]', 'did you mean service?'],
    ['pam[service=a,gid-min=many]', 'whole number'],
    ['pam[service=a,strict=perhaps]', 'true or false'],
    ['pam[a,service=b]', 'given twice'],
  ])('%s is refused: %s', async (auth, problem) => {
    await expect(create(auth)).rejects.toMatchObject({
      code: 'OCS_CONFIG',
      message: expect.stringContaining(problem),
    });
  });

  describe('a back end that is wrong', () => {
    const login = {} as LoginContext;
    /** What it does is the log's business, so far as nobody waits for it. */
    const made = async (begin: () => unknown) => {
      const logged: unknown[] = [];
      const log = pino({ level: 'error' }, { write: (line) => void logged.push(JSON.parse(line)) });
      const plugin = { ...pam, create: async () => ({ begin }) as unknown as AuthBackend };
      const { backend } = await createBackend(base, 'auth', 'pam[vpn]', new Map([['pam', plugin]]), log);
      return { backend, logged };
    };
    const answering = (step: unknown) => made(() => ({ start: async () => step, answer: async () => step }));
    const PROMPT = { result: 'prompt', message: '', counter: 0 };
    const OK = { result: 'ok', userName: 'alice', groups: ['staff'] };

    test.each([
      [undefined, 'it is no object'],
      [null, 'it is no object'],
      ['ok', 'it is no object'],
      [{ result: 'maybe' }, 'result must be'],
      [{ result: 'ok' }, 'userName must be'],
      [{ ...OK, userName: 42 }, 'userName must be'],
      [{ ...OK, userName: 'alice\nroot' }, 'userName must be'],
      [{ ...OK, groups: 'staff' }, 'groups must be'],
      [{ ...OK, groups: ['staff\u0000'] }, 'groups must be'],
      [{ ...OK, session: 'none' }, 'session must be'],
      [{ ...PROMPT, message: 7 }, 'message must be'],
      [{ ...PROMPT, counter: 'first' }, 'counter must be'],
      [{ result: 'fail', retry: 1, message: '' }, 'retry must be'],
    ])('%j fails the login: %s', async (step, problem) => {
      const { backend } = await answering(step);
      const conversation = backend.begin(login);
      await expect(conversation.start()).rejects.toThrow(`a step that is none: ${problem}`);
      await expect(conversation.answer(new Uint8Array())).rejects.toThrow(problem);
    });

    test.each([OK, { ...OK, session: {} }, PROMPT, { result: 'fail', retry: true, message: 'no' }])(
      '%j is one',
      async (step) => {
        expect(await (await answering(step)).backend.begin(login).start()).toBe(step);
      },
    );

    test('begin that throws fails the login at its first step', async () => {
      const { backend } = await made(() => {
        throw new Error('begin broke');
      });
      await expect(backend.begin(login).start()).rejects.toThrow('begin broke');
    });

    test('end that throws does not undo a login', async () => {
      const { backend, logged } = await made(() => ({
        end: () => {
          throw new Error('end broke');
        },
      }));
      expect(() => backend.begin(login).end?.()).not.toThrow();
      expect(logged).toMatchObject([{ backend: 'pam', err: { message: 'end broke' } }]);
    });
  });
});
