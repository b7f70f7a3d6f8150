/** The server without the plugins that come with it: what works, what is told, and how each is added by itself. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import { linkPlugin } from '../../src/core/plugins/linked.js';
import { linkedList } from '../../src/core/plugins/lists.js';
import { createBackend } from '../../src/core/secmod/backends.js';
import { loadAuthPlugins } from '../../src/core/secmod/plugins.js';

const root = join(import.meta.dirname, '../..');
const directory = mkdtempSync(join(tmpdir(), 'ocvpn-alone-'));
const core = join(directory, 'core');
const config = join(directory, 'vpn.json');
/** No registry is there. */
const offline = { npm_config_registry: 'http://127.0.0.1:1/', npm_config_offline: 'true' };

const dataDir = (name: string): string => join(directory, name);

/** Runs `vpn` of the core alone; what it says, without the breaks of long lines. */
function vpn(words: readonly string[], input = ''): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(core, 'bin/run.js'), ...words], {
    input,
    env: { ...process.env, ...offline },
    encoding: 'utf8',
  });
  return { status, said: (stdout + stderr).replaceAll(/\s+›?\s*/g, ' ') };
}

const authTest = (data: string, user = 'alice') =>
  vpn(['auth', 'test', user, '-c', config, '--data-dir', dataDir(data)], 'secret\n');

const COMMON = {
  'server-cert': [join(directory, 'ca.crt')],
  'server-key': [join(directory, 'ca.key')],
  'ipv4-network': '10.0.0.0/24',
};

/** `auth` of the configuration. */
function configure(...auth: readonly string[]): void {
  writeFileSync(config, JSON.stringify({ ...COMMON, auth }));
}

beforeAll(() => {
  mkdirSync(join(core, 'node_modules'), { recursive: true });
  for (const part of ['bin', 'dist', 'package.json'])
    cpSync(join(root, part), join(core, part), {
      recursive: true,
      filter: (path) => path !== join(root, 'dist/plugins'),
    });
  symlinkSync(join(root, 'native'), join(core, 'native'));
  for (const name of readdirSync(join(root, 'node_modules')))
    if (name !== '@ocvpn') symlinkSync(join(root, 'node_modules', name), join(core, 'node_modules', name));
  expect(vpn(['cert', 'ca', '--dir', directory])).toMatchObject({ status: 0 });
  const hash = execFileSync('openssl', ['passwd', '-6', 'secret']).toString().trim();
  writeFileSync(join(directory, 'ocpasswd'), `alice:staff:${hash}\n`);
});
afterAll(() => rmSync(directory, { recursive: true }));

const METHODS = {
  certificate: '@ocvpn/plugin-auth-cert',
  plain: '@ocvpn/plugin-auth-plain',
  pam: '@ocvpn/plugin-auth-pam',
  radius: '@ocvpn/plugin-auth-radius',
  gssapi: '@ocvpn/plugin-auth-gssapi',
};
const PLAIN = `plain[passwd=${join(directory, 'ocpasswd')}]`;

describe('without any plugin', () => {
  test('commands say nothing of what is not there', () => {
    configure(PLAIN);
    for (const words of [['--help'], ['config', 'show', '--config', config]]) {
      const { status, said } = vpn(words);
      expect([words, status]).toEqual([words, 0]);
      expect(said).not.toMatch(/Error|Warning|plugin-auth/);
    }
  });

  test.each(Object.entries(METHODS))('%s: its plugin is named', async (method, plugin) => {
    const { default: vhost } = buildConfig({ ...COMMON, auth: ['other'] }, {}, null);
    const made = createBackend(vhost, 'auth', method, new Map(), pino({ level: 'silent' }));
    await expect(made).rejects.toThrow(`vpn plugins install ${plugin}`);
  });

  test('the server does not start with such a method, and the check of it says the same', () => {
    configure(PLAIN);
    const folders = ['--data-dir', dataDir('none')];
    for (const words of [
      ['secmod', '--config', config, ...folders, '--run-dir', dataDir('run')],
      ['config', 'check', config, ...folders],
    ]) {
      const { status, said } = vpn(words);
      expect([status, said]).toEqual([
        1,
        expect.stringContaining('plugins install @ocvpn/plugin-auth-plain'),
      ]);
    }
  });
});

test('a plugin of somebody else serves', () => {
  const plugin = join(directory, 'other');
  mkdirSync(plugin);
  const hooks = { 'vpn:auth-backends': './hook.js' };
  const exports = { './package.json': './package.json' };
  writeFileSync(
    join(plugin, 'package.json'),
    JSON.stringify({ name: 'vpn-plugin-other', version: '1.0.0', type: 'module', oclif: { hooks }, exports }),
  );
  writeFileSync(
    join(plugin, 'hook.js'),
    `const begin = ({ userName }) => ({
      start: async () => ({ result: 'prompt', message: '', counter: 0 }),
      answer: async (secret) => Buffer.from(secret).toString() === 'secret'
        ? { result: 'ok', userName, groups: [] }
        : { result: 'fail', retry: false, message: '' },
    });
    export default ({ register }) => register({
      manifest: { name: 'other', options: {}, needs: [], maxTries: 3 },
      create: async () => ({ begin }),
    });\n`,
  );
  configure('other');
  const data = ['--data-dir', dataDir('other-data')];
  expect(vpn(['plugins', 'link', plugin, ...data])).toMatchObject({ status: 0 });
  expect(authTest('other-data')).toMatchObject({ status: 0, said: expect.stringContaining('user: alice') });
});

describe('each of ours by itself', { timeout: 120_000 }, () => {
  test.each(Object.entries(METHODS))('%s, linked', async (method, plugin) => {
    const data = dataDir(`${method}-link`);
    linkPlugin(data, realpathSync(join(root, 'node_modules', plugin)));
    const { auth } = await loadAuthPlugins(linkedList(data));
    expect([...auth.keys()]).toEqual([method]);
  });

  test('a tarball is installed without a registry, and logs in', () => {
    const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', directory], {
      cwd: join(root, 'src/plugins/auth-plain'),
      encoding: 'utf8',
    }).trim();
    configure(PLAIN);
    const data = ['--data-dir', dataDir('tarball')];
    expect(vpn(['plugins', 'install', `file:${join(directory, packed)}`, ...data])).toMatchObject({
      status: 0,
    });
    expect(authTest('tarball')).toMatchObject({ status: 0, said: expect.stringContaining('group: staff') });
    expect(authTest('tarball', 'nobody')).toMatchObject({ status: 1 });
  });
});
