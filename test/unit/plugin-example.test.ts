/** The example plugin, built, linked and logged in with by the commands that an administrator would use. */
import { execFileSync, spawnSync } from 'node:child_process';
import { scryptSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installPlugin, uninstallPlugin } from '../../src/core/plugins/installed.js';
import { linkPlugin, unlinkPlugin } from '../../src/core/plugins/linked.js';
import { addedPlugins } from '../../src/core/plugins/lists.js';
import { loadAuthPlugins, pluginLists } from '../../src/core/secmod/plugins.js';

const root = join(import.meta.dirname, '../..');
const NAME = 'vpn-plugin-auth-example';
let directory: string;
let plugin: string;

const data = () => join(directory, 'data');
const flags = () => ['--data-dir', data()];
const vpn = (args: string[], input = '') =>
  spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], { input, encoding: 'utf8' });
/** The fields of a step but its time. */
const step = (name: string, message: string, counter: number) =>
  expect.objectContaining({ step: name, message, counter });

function authTest(user: string, answers: string[], ...more: string[]) {
  const config = ['--config', join(directory, 'vpn.json'), ...flags()];
  return vpn(['auth', 'test', user, ...config, ...more], answers.map((line) => `${line}\n`).join(''));
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-example-'));
  plugin = join(directory, 'plugin');
  cpSync(join(root, 'examples/plugin-auth-example'), plugin, { recursive: true });
  mkdirSync(join(plugin, 'node_modules/@types'), { recursive: true });
  symlinkSync(root, join(plugin, 'node_modules/ocvpn'));
  symlinkSync(join(root, 'node_modules/@types/node'), join(plugin, 'node_modules/@types/node'));
  execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', plugin]);
  const scrypt = scryptSync('secret', Buffer.from('00ff', 'hex'), 64).toString('hex');
  const users = join(directory, 'users.json');
  writeFileSync(
    users,
    JSON.stringify({ alice: { salt: '00ff', scrypt, word: 'otter', groups: ['staff', 'tech'] } }),
  );
  const vhost = { auth: [`example[users=${users}]`], dns: ['192.0.2.53'] };
  const common = { 'server-cert': ['c'], 'server-key': ['k'], 'ipv4-network': '10.0.0.0/24' };
  const document = { ...common, auth: ['plain[passwd=/not-there]'], vhosts: { 'www.example.com': vhost } };
  writeFileSync(join(directory, 'vpn.json'), JSON.stringify(document));
  expect(vpn(['plugins', 'link', plugin, ...flags()])).toMatchObject({ status: 0 });
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

const vhost = ['--vhost', 'www.example.com'];

test('a configuration is checked against the methods of plugins, those of accounting too', () => {
  const check = (auth: string, acct: string) => {
    const file = join(directory, 'checked.conf');
    writeFileSync(file, `auth = "${auth}"\nacct = ${acct}\nipv4-network = 10.0.0.0/24\n`);
    return vpn(['config', 'check', file, ...flags()]);
  };
  expect(check('example[users=/u]', 'example')).toMatchObject({ status: 0 });
  expect(check('plain[/p]', 'pam[service=vpn]')).toMatchObject({ status: 0 });
  expect(check('plain[/p]', 'plain').stderr).toContain(
    'checked.conf:2: acct: plain: no such back end, there is: ',
  );
  const { status, stderr } = check('example[user=/u]', 'exampel');
  expect(status).toBe(1);
  expect(stderr).toContain(
    'checked.conf:1: auth: example[user=/u]: example has no sub-option "user", did you mean users?\n',
  );
  expect(stderr).toContain('checked.conf:2: acct: exampel: no such back end, did you mean example?\n');
});

test('it is listed', () => {
  expect(vpn(['plugins', ...flags()]).stdout).toBe(`${NAME}  ${plugin}\n`);
});

test('a login in two rounds, with its group and the configuration of the session', () => {
  const { status, stdout } = authTest(
    'alice',
    ['secret', 'badger', 'otter'],
    ...vhost,
    '--group',
    'tech',
    '--json',
  );
  expect(status).toBe(0);
  const result = JSON.parse(stdout);
  expect(result.steps).toEqual([
    step('prompt', '', 0),
    step('prompt', 'And the word?', 1),
    step('prompt', 'Not that one. And the word?', 1),
    step('accepted', '', 0),
  ]);
  expect(Object.keys(result.session)).toEqual(['userName', 'groupName', 'config']);
  expect(result.session).toMatchObject({
    userName: 'alice',
    groupName: 'tech',
    config: { dns: ['192.0.2.53'] },
  });
});

test('for people: steps, group, session', () => {
  const { stdout, stderr } = authTest('alice', ['secret', 'otter'], ...vhost);
  expect(stdout).toMatch(/^virtual host www\.example\.com, auth = example\[/);
  expect(stdout).toMatch(/^2\. asks: And the word\? \(\d+ ms\)$/m);
  expect(stdout).toMatch(/^group: staff\nsession:\n(?: {2}.*\n)* {2}dns: 192\.0\.2\.53$/m);
  expect(stdout + stderr).not.toMatch(/secret|otter/);
});

test.each([
  ['a wrong password', 'alice', ['no', 'no', 'no'], []],
  ['an unknown user', 'nobody', ['secret', 'secret', 'secret'], []],
  ['a group that the user is not in', 'alice', ['secret', 'otter'], ['--group', 'root']],
])('%s is refused', (_, user, answers, more) => {
  const { status, stdout } = authTest(user, answers, ...vhost, ...more, '--json');
  expect([status, JSON.parse(stdout).session]).toEqual([1, null]);
});

test.each([
  ['answers run out', [...vhost], 'No password was given on standard input for "And the word?".'],
  ['the virtual host is unknown', ['--vhost', 'x'], 'no virtual host x; there is: default, www.example.com'],
  ['the back end cannot start', [], '/not-there'],
])('a sentence when %s', (_, more, sentence) => {
  const { status, stderr } = authTest('alice', ['secret'], ...more);
  expect(status).toBe(1);
  expect(stderr.replaceAll(/\s+›?\s*/g, ' ')).toContain(sentence);
});

const load = async () => (await loadAuthPlugins(...pluginLists(join(directory, 'data')))).auth;

test('a plugin that others could change is not loaded', async () => {
  expect([...(await load()).keys()]).toContain('example');
  for (const path of [
    join(plugin, 'dist/hook.js'),
    plugin,
    join(directory, 'data/plugins/linked/node_modules'),
  ]) {
    chmodSync(path, 0o757);
    await expect(load()).rejects.toMatchObject({
      code: 'OCS_PLUGIN',
      message: expect.stringContaining(path),
    });
    chmodSync(path, 0o755);
    chownSync(path, 1, 1);
    await expect(load()).rejects.toMatchObject({ message: expect.stringContaining('another user') });
    chownSync(path, 0, 0);
  }
});

test.each([
  ['', 'package.json'],
  ['{ "name": "x" }', 'no hook'],
  ['{ "name": "../x", "oclif": { "hooks": { "vpn:auth-backends": "./x" } } }', 'no name'],
])('a folder with the package.json %j is not linked', (text, reason) => {
  const folder = mkdtempSync(join(directory, 'other-'));
  if (text) writeFileSync(join(folder, 'package.json'), text);
  expect(() => linkPlugin(data(), folder)).toThrow(reason);
});

test('unlinked, the server does without it', async () => {
  expect(vpn(['plugins', 'unlink', NAME, ...flags()])).toMatchObject({ status: 0 });
  expect([...(await load()).keys()]).not.toContain('example');
  expect(addedPlugins(data())).toEqual([]);
  expect(vpn(['plugins', 'unlink', NAME, ...flags()])).toMatchObject({ status: 1 });
});

describe('by npm', { timeout: 120_000 }, () => {
  const pack = (folder: string): string => {
    const told = execFileSync('npm', ['pack', '--json', '--silent'], { cwd: folder, encoding: 'utf8' });
    const [{ filename }] = JSON.parse(told) as [{ filename: string }];
    return join(folder, filename);
  };
  // No registry is there.
  const offline = { npm_config_registry: 'http://127.0.0.1:1/', npm_config_offline: 'true' };
  const install = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'bin/run.js'), 'plugins', 'install', ...args, ...flags()], {
      cwd: plugin,
      env: { ...process.env, ...offline },
      encoding: 'utf8',
    });
  const sentence = (text: string): string => text.replaceAll(/\s+›?\s*/g, ' ');

  test('a tarball is installed without a registry, logs in, and goes again', async () => {
    const tarball = pack(plugin);
    expect(install(`file:${tarball}`)).toMatchObject({
      status: 0,
      stdout: `The plugin ${NAME} is installed. Restart the server to use it.\n`,
    });
    const place = join(directory, 'data/plugins/node_modules', NAME);
    expect(vpn(['plugins', ...flags()]).stdout).toBe(`${NAME}  ${place}\n`);
    expect([...(await load()).keys()]).toContain('example');
    expect(authTest('alice', ['secret', 'otter'], ...vhost).status).toBe(0);
    expect(authTest('alice', ['wrong', 'wrong', 'wrong'], ...vhost).status).toBe(1);
    expect(sentence(vpn(['plugins', 'link', plugin, ...flags()]).stderr)).toContain(
      'it is installed already',
    );
    expect(vpn(['plugins', 'uninstall', NAME, ...flags()])).toMatchObject({ status: 0 });
    expect([...(await load()).keys()]).not.toContain('example');
    expect(existsSync(place)).toBe(false);
    expect(() => uninstallPlugin(data(), NAME)).toThrow(`There is no installed plugin ${NAME}.`);
  });

  test('a folder is copied; a plugin that is linked stays', async () => {
    const other = join(directory, 'other-plugin');
    cpSync(plugin, other, { recursive: true });
    writeFileSync(
      join(other, 'package.json'),
      JSON.stringify({
        name: 'other-plugin',
        version: '1.0.0',
        files: ['hook.js'],
        scripts: { install: 'exit 1' },
        oclif: { hooks: { 'vpn:auth-backends': './hook.js' } },
        exports: { './package.json': './package.json' },
      }),
    );
    writeFileSync(join(other, 'hook.js'), 'module.exports = () => {};\n');
    linkPlugin(data(), plugin);
    expect(install('../other-plugin')).toMatchObject({ status: 0 });
    const place = join(directory, 'data/plugins/node_modules/other-plugin');
    expect(realpathSync(place)).toBe(place);
    expect([...(await load()).keys()]).toContain('example');
    expect(addedPlugins(data()).map(({ name }) => name)).toEqual(['other-plugin', NAME]);
    expect(() => installPlugin(data(), { spec: plugin, allowScripts: false })).toThrow('is linked');
    unlinkPlugin(data(), NAME);
    uninstallPlugin(data(), 'other-plugin');
  });

  test('what is no plugin leaves nothing behind', () => {
    const useless = join(directory, 'useless');
    mkdirSync(useless);
    writeFileSync(join(useless, 'package.json'), '{ "name": "useless", "version": "1.0.0" }');
    expect(sentence(install(useless).stderr)).toContain('no hook vpn:auth-backends');
    expect(existsSync(join(directory, 'data/plugins/node_modules/useless'))).toBe(false);
    expect(sentence(install('not-there').stderr)).toMatch(/The plugin not-there was not installed: \S/);
    expect(addedPlugins(data())).toEqual([]);
  });
});
