/** The gssapi back end with tickets of a private MIT KDC, and a client of the test's own. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuthBackendPlugin, Step } from '../../src/core/plugin-api/index.js';
import { loadAddon } from '../../src/plugins/auth-gssapi/src/addon.js';
import { createGssapiBackend } from '../../src/plugins/auth-gssapi/src/gssapi-backend.js';
import { type Kdc, krb5Conf, startKdc } from '../support/kdc.ts';
import { aLogin } from '../support/login.ts';
import { Companion, must } from '../support/process.ts';

const HOST = 'vpn.lab.test';
const environment = { ...process.env };
let directory: string;
let keytab: string;
let client: string;
let kdc: Kdc;

const logged: string[] = [];
const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(line) });
const host = { vhost: 'default', log };

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** Logs a user in at the KDC. */
const kinit = (principal: string, password: string, ...flags: string[]) =>
  must(['kinit', ...flags, principal], { input: `${password}\n` });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-gss-'));
  keytab = join(directory, 'http.keytab');
  client = join(directory, 'gss-client');
  const source = join(import.meta.dirname, '../support/gss-client.c');
  execFileSync('g++', ['-x', 'c', '-Wall', '-Werror', '-o', client, source, '-lgssapi_krb5']);
  kdc = await startKdc({
    folder: directory,
    realm: 'LAB.TEST',
    address: '127.0.0.1',
    port: await freePort(),
    start: (name, command, env) => new Companion(name, command, { env }),
  });
  await kdc.addUser('games', 'secret');
  await kdc.addUser('games/admin', 'secret');
  await kdc.addService(`HTTP/${HOST}`, keytab);
  await kdc.addService('HTTP/other.lab.test', join(directory, 'other.keytab'));
  Object.assign(process.env, {
    KRB5_CONFIG: kdc.conf,
    KRB5CCNAME: `FILE:${join(directory, 'cc')}`,
    KRB5RCACHENAME: 'dfl:',
    KRB5RCACHEDIR: directory,
  });
  await kinit('games', 'secret');
}, 60_000);
afterAll(async () => {
  await kdc.process.stop();
  process.env = environment;
  rmSync(directory, { recursive: true });
});

const begin = (options: Record<string, string | number | boolean> = {}, nowMs?: () => number) =>
  createGssapiBackend({ keytab, ...options }, host, nowMs).begin(aLogin(''));

/** Tokens go to and fro until the back end has decided; returns its steps and the last line of the client. */
async function negotiate(
  conversation: ReturnType<typeof begin>,
  flags: string[] = [],
  target = `HTTP@${HOST}`,
): Promise<{ steps: Step[]; client: string }> {
  const peer = startPeer(target, flags);
  const steps = [await conversation.start()];
  for (let step = steps[0]; step?.result === 'prompt'; ) {
    const line = await peer.line();
    if (line.startsWith('failed')) break;
    step = await conversation.answer(Buffer.from(line, 'hex'));
    steps.push(step);
    if (step.result !== 'fail') peer.send(Buffer.from(step.token ?? []).toString('hex'));
  }
  conversation.end?.();
  return { steps, client: await peer.end() };
}

/** The client's process. `line` is its next token, or its last word once more. */
function startPeer(target: string, flags: string[]) {
  const child = spawn(client, [target, ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {
    // It is done and reads no more.
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let last = '';
  const line = async (): Promise<string> => {
    const next = await lines.next();
    if (!next.done) last = next.value;
    return last;
  };
  return {
    line,
    send: (text: string) => child.stdin.write(`${text}\n`),
    end: async () => {
      child.stdin.end();
      for (let next = await lines.next(); !next.done; next = await lines.next()) last = next.value;
      return last;
    },
  };
}

const prompt = expect.objectContaining({ result: 'prompt' });
const fail = { result: 'fail', retry: false, message: '' };
const names = (...flags: string[]) =>
  execFileSync('id', [...flags, 'games'])
    .toString()
    .trim()
    .split(' ');

describe('a ticket for the service', () => {
  test('is taken, and the client sees that the service has the key', async () => {
    const { steps, client: said } = await negotiate(begin());
    expect(steps).toEqual([
      prompt,
      { result: 'ok', userName: 'games', groups: names('-Gn'), token: expect.anything() },
    ]);
    expect(said).toBe('done');
  });

  test.each([
    ['Kerberos without SPNEGO', ['krb5'], 2],
    ['three legs of Kerberos', ['krb5', 'dce'], 3],
    ['three legs inside SPNEGO', ['dce'], 3],
  ])('%s', async (_, flags, count) => {
    const { steps } = await negotiate(begin(), flags);
    expect(steps.map(({ result }) => result)).toEqual([...Array(count - 1).fill('prompt'), 'ok']);
  });

  test('groups are the Unix groups from gid-min on', async () => {
    const above = Math.max(...names('-G').map(Number)) + 1;
    const { steps } = await negotiate(begin({ 'gid-min': above }));
    expect(steps.at(-1)).toMatchObject({ result: 'ok', groups: [] });
  });

  test('many at once', async () => {
    const all = await Promise.all(Array.from({ length: 16 }, () => negotiate(begin())));
    expect(all.map(({ steps }) => steps.at(-1)?.result)).toEqual(Array(16).fill('ok'));
    expect(loadAddon().runningLegs()).toBe(0);
  });
});

describe('is refused', () => {
  test('what is no token, and a token that was used before', async () => {
    for (const garbage of [Buffer.from('60060604', 'hex'), Buffer.alloc(12_000, 0x60), Buffer.alloc(1)]) {
      const conversation = begin();
      await conversation.start();
      expect(await conversation.answer(garbage)).toEqual(fail);
    }
    const peer = startPeer(`HTTP@${HOST}`, []);
    const token = Buffer.from(await peer.line(), 'hex');
    await peer.end();
    const [first, again] = [begin(), begin()];
    for (const conversation of [first, again]) await conversation.start();
    expect(await first.answer(token)).toMatchObject({ result: 'ok' });
    expect(await again.answer(token)).toEqual(fail);
    expect(logged.at(-1)).toContain('replay');
  });

  test('a ticket for another service', async () => {
    const { steps } = await negotiate(begin(), [], 'HTTP@other.lab.test');
    expect(steps.at(-1)).toEqual(fail);
  });

  test('a login at the KDC that is too long ago', async () => {
    const later = (seconds: number) => () => Date.now() + seconds * 1000;
    const { steps } = await negotiate(begin({ 'tgt-freshness-time': 100 }, later(120)));
    expect(steps.at(-1)).toEqual(fail);
    expect(logged.at(-1)).toContain('too long ago');
    expect((await negotiate(begin({ 'tgt-freshness-time': 200 }, later(120)))).steps.at(-1)).toMatchObject({
      result: 'ok',
    });
  });

  test('a principal without a local name, unless that is allowed', async () => {
    await kinit('games/admin', 'secret');
    expect((await negotiate(begin())).steps.at(-1)).toEqual(fail);
    expect(logged.at(-1)).toContain('no local name');
    const { steps } = await negotiate(begin({ 'require-local-user-map': false }));
    expect(steps.at(-1)).toMatchObject({ result: 'ok', userName: 'games/admin@LAB.TEST', groups: [] });
    await kinit('games', 'secret');
  });

  test('a ticket of another realm with the same names', async () => {
    const other = await startKdc({
      folder: directory,
      realm: 'OTHER.TEST',
      address: '127.0.0.1',
      port: await freePort(),
      start: (name, command, env) => new Companion(name, command, { env }),
    });
    await other.addUser('games', 'secret');
    await other.addService(`HTTP/${HOST}`, join(directory, 'foreign.keytab'));
    const both = join(directory, 'both.conf');
    writeFileSync(both, krb5Conf({ 'OTHER.TEST': other.place, 'LAB.TEST': kdc.place }));
    try {
      process.env.KRB5_CONFIG = both;
      await kinit('games@OTHER.TEST', 'secret');
      expect((await negotiate(begin())).steps.at(-1)).toEqual(fail);
    } finally {
      process.env.KRB5_CONFIG = kdc.conf;
      await other.process.stop();
      await kinit('games', 'secret');
    }
  });
});

test.each([
  ['is missing', 'not-there'],
  ['is no keytab', 'LAB.TEST/krb5.conf'],
])('a keytab that %s stops the start', async (_, name) => {
  expect(() => createGssapiBackend({ keytab: join(directory, name) }, host)).toThrow(
    /keytab .* cannot be used: /,
  );
});

test('without the addon the plugin registers, and names the Debian package when it is wanted', async () => {
  const built = join(import.meta.dirname, '../../src/plugins/auth-gssapi');
  for (const part of ['package.json', 'dist'])
    cpSync(join(built, part), join(directory, 'alone', part), { recursive: true });
  const hook = await import(join(directory, 'alone/dist/plugins/auth-gssapi/src/hook.js'));
  const registered: AuthBackendPlugin[] = [];
  hook.default({ apiVersion: 1, register: (plugin: AuthBackendPlugin) => registered.push(plugin) });
  expect(registered.map(({ manifest }) => [manifest.name, manifest.credential])).toEqual([
    ['gssapi', 'negotiate'],
  ]);
  await expect(registered[0]?.create({}, host)).rejects.toThrow('install the Debian package libkrb5-dev');
});
