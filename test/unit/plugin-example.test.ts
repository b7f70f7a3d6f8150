/** The example plugin, built, linked and logged in with by the commands that an administrator would use. */
import { execFileSync, spawnSync } from 'node:child_process';
import { scryptSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { linkedPlugins, linkPlugin } from '../../src/core/plugins/linked.js';
import { loadAuthPlugins, pluginLists } from '../../src/core/secmod/plugins.js';

const root = join(import.meta.dirname, '../..');
const NAME = 'vpn-plugin-auth-example';
let directory: string;
let plugin: string;

const flags = () => ['--data-dir', join(directory, 'data')];
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
  ['answers run out', [...vhost], 'No password was given'],
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
  for (const path of [join(plugin, 'dist/hook.js'), plugin, join(directory, 'data/plugins/node_modules')]) {
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
  expect(() => linkPlugin(join(directory, 'data'), folder)).toThrow(reason);
});

test('unlinked, the server does without it', async () => {
  expect(vpn(['plugins', 'unlink', NAME, ...flags()])).toMatchObject({ status: 0 });
  expect([...(await load()).keys()]).not.toContain('example');
  expect(linkedPlugins(join(directory, 'data'))).toEqual([]);
  expect(vpn(['plugins', 'unlink', NAME, ...flags()])).toMatchObject({ status: 1 });
});
