/** Records of utmp and wtmp, as utmpdump(1) reads them, and what happens when somebody holds a lock on utmp. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Client, Session } from '../../src/core/main/clients.js';
import { LoginRecords } from '../../src/core/main/login-records.js';
import { native } from '../../src/core/native/index.js';
import type { LoginRecord } from '../../src/core/native/login-types.js';
import type { NativeIo } from '../../src/core/native/types.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ocvpn-utmp-'));
  for (const name of ['utmp', 'wtmp']) writeFileSync(join(folder, name), '');
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = (name: string): string => join(folder, name);
const login = (line: string, more: Partial<LoginRecord> = {}): LoginRecord => ({
  utmp: file('utmp'),
  wtmp: file('wtmp'),
  begins: true,
  user: 'alice',
  line,
  host: '10.70.0.2',
  pid: 4711,
  seconds: 1_700_000_000,
  history: true,
  ...more,
});

/** Type, pid, id, user, line, host, address of each record. */
function records(name: string): string[] {
  const { stdout } = spawnSync('utmpdump', [file(name)], { encoding: 'utf8' });
  const lines = stdout.trim().split('\n').filter(Boolean);
  return lines.map((line) =>
    [...line.matchAll(/\[(.*?)\s*\]/g)]
      .map(([, field = '']) => field)
      .slice(0, 7)
      .join(' '),
  );
}

test('a session takes its place in utmp, and every line is added to wtmp', () => {
  native.io.writeLogin(login('vpns0'));
  native.io.writeLogin(login('vpns12345', { user: 'b'.repeat(40), host: 'fd70::2' }));
  native.io.writeLogin(login('vpns0', { begins: false, seconds: 1_700_000_060 }));
  native.io.writeLogin(login('vpns0', { user: 'carol', history: false }));
  expect(records('utmp')).toEqual([
    '7 04711 pns0 carol vpns0 10.70.0.2 10.70.0.2',
    `7 04711 2345 ${'b'.repeat(32)} vpns12345 fd70::2 fd70::2`,
  ]);
  expect(records('wtmp')).toEqual([
    '7 04711 pns0 alice vpns0 10.70.0.2 10.70.0.2',
    `7 04711 2345 ${'b'.repeat(32)} vpns12345 fd70::2 fd70::2`,
    '8 04711 pns0  vpns0  0.0.0.0',
  ]);
});

test('half a record at the end of utmp is written over; files that are not there are not made', () => {
  native.io.writeLogin(login('vpns0'));
  const size = readFileSync(file('utmp')).length;
  writeFileSync(file('utmp'), Buffer.concat([readFileSync(file('utmp')), Buffer.alloc(100, 1)]));
  native.io.writeLogin(login('vpns1'));
  expect(readFileSync(file('utmp'))).toHaveLength(2 * size);
  native.io.writeLogin(login('vpns2', { utmp: file('absent'), wtmp: file('none') }));
  expect([existsSync(file('absent')), existsSync(file('none'))]).toEqual([false, false]);
  expect(() => native.io.writeLogin(login('vpns3', { utmp: folder }))).toThrow(/EISDIR/);
});

/** A process that holds a lock for reading until its input ends. */
async function lock(path: string): Promise<ChildProcess> {
  const code = `import fcntl,sys; f=open(sys.argv[1]); fcntl.lockf(f, fcntl.LOCK_SH); print("locked", flush=True); sys.stdin.read()`;
  const holder = spawn('python3', ['-c', code, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout as NodeJS.ReadableStream, 'data');
  return holder;
}

test('a lock is waited for without waiting in the call, and the order of records stays', async () => {
  const holder = await lock(file('utmp'));
  expect(() => native.io.writeLogin(login('vpns0'))).toThrow(/EAGAIN/);
  expect(records('wtmp')).toEqual([]);
  let refused = 0;
  const io: Pick<NativeIo, 'writeLogin'> = {
    writeLogin(record) {
      try {
        native.io.writeLogin({ ...record, utmp: file('utmp'), wtmp: file('wtmp') });
      } catch (error) {
        refused += 1;
        if (refused === 2) holder.stdin?.end();
        throw error;
      }
    },
  };
  const logins = new LoginRecords({
    io,
    log: pino({ level: 'silent' }),
    now: () => 1_700_000_060,
    wanted: () => true,
  });
  const session = { userName: 'alice', tunName: 'vpns0', pid: 4711, connectedAt: 1_700_000_000 } as Session;
  const client = { remote: { address: '10.70.0.2' }, worker: { pid: 1 } } as Client;
  logins.begins(client, session);
  logins.ends(client, session);
  // Nobody knows of this one.
  logins.ends(client, { ...session });
  await logins.idle();
  expect(refused).toBeGreaterThanOrEqual(2);
  expect(records('wtmp').map((record) => record.slice(0, 1))).toEqual(['7', '8']);
  expect(records('utmp').map((record) => record.slice(0, 1))).toEqual(['8']);
});
