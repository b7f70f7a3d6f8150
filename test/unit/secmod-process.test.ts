/** The process itself, over its socket: start, users, keys, bad input, the death of main, stop. */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSecretKey } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectIpc } from '../../src/core/ipc/channel.js';
import { workerHmac } from '../../src/core/ipc/worker-hmac.js';
import { certificatePin } from '../../src/core/pki/pin.js';
import { HMAC_KEY, logIn, type MainEnd, type WorkerEnd } from '../support/secmod-lab.js';

const ENTRY = fileURLToPath(new URL('../../dist/core/secmod/entry.js', import.meta.url));
const LAUNCH = `import(${JSON.stringify(ENTRY)}).then(({ runSecmod }) => runSecmod(process.argv.slice(1)))`;
const NOBODY = 65_534;
const log = pino({ level: 'silent' });

let root: string;
let socket: string;
let child: ChildProcess | undefined;
let lines: string[];

beforeEach(() => {
  if (!existsSync(ENTRY)) throw new Error(`${ENTRY} is missing: run "npm run build" first`);
  root = mkdtempSync(join(tmpdir(), 'ocvpn-process-'));
  chmodSync(root, 0o755);
  socket = join(root, 'run', 'secmod.sock');
});
afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = undefined;
  rmSync(root, { recursive: true });
});

/** Resolves with the first log line that contains one of the texts, or when the process ends. */
async function start(...args: string[]): Promise<void> {
  const started = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      LAUNCH,
      '--',
      '--data-dir',
      join(root, 'data'),
      '--socket',
      socket,
      ...args,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, VPN_LOG_FORMAT: 'json' } },
  );
  child = started;
  lines = [];
  const ready = Promise.withResolvers<void>();
  createInterface({ input: started.stderr }).on('line', (line) => {
    lines.push(line);
    if (line.includes('secmod is ready')) ready.resolve();
  });
  started.once('exit', () => ready.resolve());
  await ready.promise;
}

function isReadableByNobody(path: string): boolean {
  const script = `require('node:fs').accessSync(${JSON.stringify(path)})`;
  return spawnSync(process.execPath, ['-e', script], { uid: NOBODY, gid: NOBODY, cwd: '/' }).status === 0;
}

const main = (): Promise<MainEnd> =>
  connectIpc<'main', 'secmod'>(socket, {
    self: 'main',
    peer: 'secmod',
    log,
    handlers: {
      SECM_BAN_IP: () => ({ allowed: true }),
      SECM_END_SESSION: () => ({ count: 0 }),
      SECM_STATS: () => {},
      SECM_LOGIN_STEPS: () => {},
    },
  });
const worker = (): Promise<WorkerEnd> =>
  connectIpc<'worker', 'secmod'>(socket, { self: 'worker', peer: 'secmod', log, handlers: {} });

/** Connects with another effective user: SO_PEERCRED tells that of connect(2). */
function asNobody<T>(open: () => Promise<T>): Promise<T> {
  process.seteuid?.(NOBODY);
  try {
    return open();
  } finally {
    process.seteuid?.(0);
  }
}

function init(client: number) {
  const origin = {
    origRemoteIp: '192.0.2.1',
    ourIp: '192.0.2.2',
    sessionStartTime: Math.floor(Date.now() / 1000),
  };
  const names = { userAgent: '', devicePlatform: '', deviceType: '' };
  const login = {
    client,
    vhost: 'default',
    userName: 'user',
    groupName: '',
    way: 0,
    remoteIp: '192.0.2.1',
  };
  return { ...login, ...names, ...origin, hmac: workerHmac(createSecretKey(HMAC_KEY), origin) };
}

const startup = (channel: MainEnd) => channel.call('SECM_STARTUP', { hmacKey: HMAC_KEY, workerUid: NOBODY });
const password = () =>
  (JSON.parse(readFileSync(join(root, 'data', 'first-user.json'), 'utf8')) as { password: string }).password;

test('first start: certificate and user are there, a login works, main knows the pin without the key', async () => {
  await start();
  const channel = await main();
  expect((await startup(channel)).body.vhosts).toEqual(['default']);
  const peer = await worker();
  const { chains } = (await peer.call('SEC_GET_PK', { vhost: 'default' })).body;
  expect(certificatePin(chains[0] ?? '')).toBe(
    certificatePin(readFileSync(join(root, 'data', 'pki', 'server.crt'))),
  );
  const reply = await logIn(peer, init(1), 'wrong', password());
  expect(reply).toMatchObject({ reply: 'OK', userName: 'user' });
  const log = lines.join('\n');
  expect(log).toContain('user logged in');
  expect(log).not.toContain(password());
});

test('sessions survive main, and end with secmod', async () => {
  await start();
  const first = await main();
  await startup(first);
  const { sid } = await logIn(await worker(), init(1), password());
  first.close();
  const second = await main();
  await startup(second);
  const open = { client: 1, sid: sid ?? Buffer.alloc(32), remoteIp: '192.0.2.1' };
  expect((await second.call('SECM_SESSION_OPEN', open)).body.reply).toBe('OK');
  child?.kill('SIGTERM');
  expect(await once(child as ChildProcess, 'exit')).toEqual([0, null]);
  expect(existsSync(socket)).toBe(false);
});

test('garbage, violations and a vanishing peer disturb nobody else', async () => {
  await start();
  const channel = await main();
  await startup(channel);
  const good = await worker();
  for (const garbage of [
    Buffer.alloc(5),
    Buffer.alloc(70_000, 0xff),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  ]) {
    const stream = connect(socket);
    const closed = new Promise((resolve) => stream.once('close', resolve));
    // A reset is as good an answer as an end.
    stream.on('error', () => {});
    stream.end(garbage);
    await closed;
  }
  const bad = await worker();
  const answer = { client: 1, sid: Buffer.alloc(32), password: Buffer.from('x') };
  await expect(bad.call('SEC_AUTH_CONT', answer)).rejects.toMatchObject({ code: 'OCS_IPC_CLOSED' });
  const half = await worker();
  void half.call('SEC_AUTH_INIT', init(1)).catch(() => {});
  half.close();
  expect(await logIn(good, init(2), password())).toMatchObject({ reply: 'OK' });
  expect(
    (await channel.call('SECM_LIST_COOKIES', {})).body.cookies.filter(({ inUse }) => inUse === 0),
  ).toHaveLength(1);
});

describe.skipIf(process.geteuid?.() !== 0)('users', () => {
  test('a worker of another user waits for main to name that user; such a user is never main', async () => {
    await start();
    await expect(asNobody(worker)).rejects.toMatchObject({ code: 'OCS_IPC_CLOSED' });
    await startup(await main());
    const peer = await asNobody(worker);
    expect((await peer.call('SEC_GET_PK', { vhost: 'default' })).body.chains).toHaveLength(1);
    await expect(asNobody(main)).rejects.toMatchObject({ code: 'OCS_IPC_CLOSED' });
  });

  test.skipIf(!isReadableByNobody(ENTRY))(
    'a non-dumpable process belongs to root in /proc, so that its own user cannot trace it or read its memory',
    async () => {
      const ownerAfter = async (options: string) => {
        const addon = ENTRY.replace('secmod/entry.js', 'native/index.js');
        const script = `import(${JSON.stringify(addon)}).then(({ native }) => {
          native.io.dropPrivileges(${options}); console.log('done'); process.stdin.once('data', () => process.exit()); })`;
        // exec makes a process dumpable again; a mere setuid would have hidden it already.
        const probe = spawn(process.execPath, ['--input-type=module', '-e', script], {
          uid: NOBODY,
          gid: NOBODY,
          cwd: '/',
          stdio: ['pipe', 'pipe', 'inherit'],
        });
        await once(probe.stdout, 'data');
        const { uid } = statSync(`/proc/${probe.pid}/mem`);
        probe.stdin.end('.');
        await once(probe, 'exit');
        return uid;
      };
      expect(await ownerAfter('{ lockdown: false, nonDumpable: true }')).toBe(0);
      expect(await ownerAfter('{ lockdown: false }')).toBe(NOBODY);
    },
  );
});

test.each([
  [['--config', '/none.yaml'], 'OCS_FILE'],
  [['--bogus'], 'OCS_CONFIG'],
])('%j: one line that says why, and status 1', async (args, code) => {
  await start(...args);
  if (child?.exitCode === null) await once(child, 'exit');
  expect(child?.exitCode).toBe(1);
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ code, level: 60 });
});

test('a second secmod does not take the socket of a live one', async () => {
  await start();
  const first = child;
  const args = [
    '--input-type=module',
    '-e',
    LAUNCH,
    '--',
    '--data-dir',
    join(root, 'data'),
    '--socket',
    socket,
  ];
  expect(() => execFileSync(process.execPath, args, { stdio: 'pipe' })).toThrowError(
    expect.objectContaining({ status: 1 }),
  );
  expect(first?.exitCode).toBeNull();
  await startup(await main());
});
