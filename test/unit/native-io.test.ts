import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { native, READABLE, WRITABLE } from '../../src/core/native/index.js';
import { receiveFrom } from '../../src/core/native/receive.js';
import { LOST_FDS } from '../../src/core/native/types.js';

const { io } = native;
const addon = fileURLToPath(new URL('../../native/build/Release/ocvpn.node', import.meta.url));
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-io-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const openFds = () => readdirSync('/proc/self/fd').length;

/** Runs JavaScript with `io` in another process. */
function child(code: string, stdio: 'pipe' | 'inherit' = 'pipe'): ChildProcess {
  return spawn(process.execPath, ['-e', `const { io } = require(${JSON.stringify(addon)});\n${code}`], {
    stdio: ['pipe', stdio, 'inherit'],
  });
}

/** Resolves with the first result that is not null. */
async function poll<T>(attempt: () => T | null): Promise<T> {
  for (;;) {
    const result = attempt();
    if (result !== null) return result;
    await nextTurn();
  }
}

/** Port of a listening socket, from the kernel's table. */
function listenerPort(listener: number): number {
  const inode = readlinkSync(`/proc/self/fd/${listener}`).replace(/\D/g, '');
  const row = ['tcp', 'tcp6']
    .flatMap((table) => readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n'))
    .map((line) => line.trim().split(/\s+/))
    .find((columns) => columns[9] === inode);
  return Number.parseInt(row?.[1]?.split(':').at(-1) ?? '', 16);
}

describe('errors', () => {
  test('carry code and syscall', () => {
    expect(() => io.close(1_000_000)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'close' }));
    expect(() => io.connectUnix(join(directory, 'none'))).toThrow(
      expect.objectContaining({ code: 'ENOENT', syscall: 'connect' }),
    );
    expect(() => io.listenTcp('192.0.2.1', 0, 1)).toThrow(/EADDRNOTAVAIL.*192\.0\.2\.1:0/);
    expect(() => io.listenTcp('localhost', 0, 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  test('wrong arguments are refused before any system call', () => {
    const wrong = { code: 'ERR_INVALID_ARG_VALUE' };
    expect(() => io.close(-1)).toThrow(expect.objectContaining(wrong));
    expect(() => io.listenTcp('127.0.0.1', 70_000, 1)).toThrow(/'port' must be an integer from 0 to 65535/);
    expect(() => io.connectUnix('/tmp/a\0b')).toThrow(/without NUL/);
    expect(() => io.sendMessage(0, 'text' as never, [])).toThrow(/Uint8Array/);
    expect(() => io.sendMessage(0, Buffer.alloc(1), Array(9).fill(0))).toThrow(/at most 8 descriptors/);
    expect(() => io.openTun({ name: 'x' } as never)).toThrow(/'vnetHdr' must be a boolean/);
    expect(() => io.connectUdp({ address: '127.0.0.1', port: 1 }, undefined as never)).toThrow(/'remote'/);
  });
});

describe('poller', () => {
  test('reports what is asked for, pauses, and stops at close', async () => {
    const [a, b] = io.socketpair();
    const seen: number[] = [];
    const poller = io.createPoller(a, (events) => {
      seen.push(events);
      poller.set(0);
    });
    await nextTurn();
    poller.set(READABLE);
    await nextTurn();
    expect(seen).toEqual([]);
    io.sendMessage(b, Buffer.from('x'), []);
    await poll(() => seen[0] ?? null);
    poller.set(READABLE | WRITABLE);
    await poll(() => seen[1] ?? null);
    expect(seen).toEqual([READABLE, READABLE | WRITABLE]);
    poller.close();
    poller.close();
    expect(() => poller.set(READABLE)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    io.close(a);
    io.close(b);
  });

  test('a reset connection is reported as what was asked for, until the owner closes', async () => {
    const listener = io.listenTcp('127.0.0.1', 0, 1);
    const client = connect(listenerPort(listener), '127.0.0.1');
    await once(client, 'connect');
    const { fd } = await poll(() => io.accept(listener));
    const seen: number[] = [];
    const poller = io.createPoller(fd, (events) => seen.push(events));
    poller.set(READABLE);
    client.resetAndDestroy();
    await poll(() => seen[2] ?? null);
    expect(seen.every((events) => events === READABLE)).toBe(true);
    expect(() => receiveFrom(io, fd, 10)).toThrow(expect.objectContaining({ code: 'ECONNRESET' }));
    poller.close();
    for (const open of [fd, listener]) io.close(open);
  });

  test('two on one descriptor, or one on a file, are refused', () => {
    const [a, b] = io.socketpair();
    const poller = io.createPoller(a, () => {});
    poller.set(READABLE);
    expect(() => io.createPoller(a, () => {})).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    const file = openSync(addon, 'r');
    expect(() => io.createPoller(file, () => {})).toThrow(expect.objectContaining({ code: 'EPERM' }));
    poller.close();
    for (const fd of [a, b, file]) io.close(fd);
  });

  test('an exception in the call-back becomes uncaughtException; unref lets the process end', async () => {
    const process = child(`
      process.on('uncaughtException', (error) => { console.log(error.message); poller.close(); });
      const [a, b] = io.socketpair();
      const [c] = io.socketpair();
      const idle = io.createPoller(c, () => {});
      idle.set(1);
      idle.unref();
      const poller = io.createPoller(a, () => { throw new Error('from the call-back'); });
      poller.set(1);
      io.sendMessage(b, Buffer.from('x'), []);`);
    let output = '';
    process.stdout?.on('data', (data) => (output += data));
    expect((await once(process, 'close'))[0]).toBe(0);
    expect(output).toBe('from the call-back\n');
  });

  test('a worker thread may end within a call-back', async () => {
    const process = child(`
      const { Worker } = require('node:worker_threads');
      const worker = new Worker(\`
        const { io } = require(${JSON.stringify(addon)});
        const [a, b] = io.socketpair();
        const poller = io.createPoller(a, () => process.exit(3));
        poller.set(1);
        io.sendMessage(b, Buffer.from('x'), []);\`, { eval: true });
      worker.on('exit', (code) => console.log('thread', code));`);
    let output = '';
    process.stdout?.on('data', (data) => (output += data));
    expect(await once(process, 'close')).toEqual([0, null]);
    expect(output).toBe('thread 3\n');
  });

  test('an open poller survives the end of its worker thread', async () => {
    const process = child(`
      const { Worker } = require('node:worker_threads');
      const worker = new Worker(\`
        const { io } = require(${JSON.stringify(addon)});
        const [a] = io.socketpair();
        globalThis.poller = io.createPoller(a, () => {});
        poller.set(1);
        require('node:worker_threads').parentPort.postMessage('up');\`, { eval: true });
      worker.on('message', () => worker.terminate().then(() => console.log('terminated')));`);
    let output = '';
    process.stdout?.on('data', (data) => (output += data));
    expect((await once(process, 'close'))[0]).toBe(0);
    expect(output).toBe('terminated\n');
  });
});

describe('unix sockets', () => {
  test('the file has exactly the mode, and accept tells the credentials', async () => {
    const path = join(directory, 'mode.sock');
    const listener = io.listenUnix(path, 0o660);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(() => io.listenUnix(path, 0o600)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    expect(io.accept(listener)).toBeNull();
    const process = child(`const fd = io.connectUnix(${JSON.stringify(path)}); process.stdin.resume();`);
    const accepted = await poll(() => io.accept(listener));
    expect(accepted).toMatchObject({ remote: { address: '', port: 0 } });
    expect(io.peerCredentials(accepted.fd)).toEqual({ pid: process.pid, uid: 0, gid: 0 });
    process.stdin?.end();
    await once(process, 'close');
    for (const fd of [accepted.fd, listener]) io.close(fd);
    expect(() => io.connectUnix(path)).toThrow(expect.objectContaining({ code: 'ECONNREFUSED' }));
    expect(() => io.listenUnix(`/tmp/${'x'.repeat(120)}`, 0o600)).toThrow(/ENAMETOOLONG/);
  });

  test('descriptors reach another process and work there', async () => {
    const path = join(directory, 'rights.sock');
    const listener = io.listenUnix(path, 0o600);
    const process = child(`
      const fs = require('node:fs');
      const fd = io.connectUnix(${JSON.stringify(path)});
      const poller = io.createPoller(fd, () => {
        const [room, fds] = [Buffer.alloc(100), []];
        const data = room.subarray(0, io.receiveMessage(fd, room, fds));
        const flags = fs.readFileSync('/proc/self/fdinfo/' + fds[0], 'utf8');
        fs.writeSync(fds[1], data + ' ' + fs.readlinkSync('/proc/self/fd/' + fds[0]) + ' ' + /flags:.*02\\d{6}$/m.test(flags));
        poller.close();
      });
      poller.set(1);`);
    const { fd } = await poll(() => io.accept(listener));
    const [ours, theirs] = io.socketpair();
    const file = openSync(addon, 'r');
    expect(io.sendMessage(fd, Buffer.from('hello'), [file, theirs])).toBe(5);
    io.close(theirs);
    const answer = await poll(() => receiveFrom(io, ours, 1000));
    expect(answer.data.toString()).toBe(`hello ${readlinkSync(`/proc/self/fd/${file}`)} true`);
    // Ours were only copied.
    expect(fstatSync(file).size).toBeGreaterThan(0);
    await once(process, 'close');
    for (const open of [fd, listener, ours, file]) io.close(open);
  });

  test('a full socket takes neither bytes nor descriptors; end of stream is an empty message', () => {
    const before = openFds();
    const [a, b] = io.socketpair();
    const block = Buffer.alloc(65536);
    while (io.sendMessage(a, block, []) > 0);
    expect(io.sendMessage(a, Buffer.from('x'), [a])).toBe(0);
    io.close(a);
    let last = receiveFrom(io, b, 1 << 20);
    while (last?.data.length) last = receiveFrom(io, b, 1 << 20);
    expect(last).toEqual({ data: Buffer.alloc(0), fds: [], lostFds: false });
    expect(() => io.sendMessage(b, Buffer.from('x'), [])).toThrow(expect.objectContaining({ code: 'EPIPE' }));
    io.close(b);
    expect(openFds()).toBe(before);
  });

  test('a descriptor for which there is no number is told, and leaves the bytes readable', () => {
    const code = `
      const fs = require('node:fs');
      const { io } = require(${JSON.stringify(addon)});
      const [a, b] = io.socketpair();
      io.sendMessage(a, Buffer.from('bytes'), [a]);
      const full = () => { try { fs.openSync('/dev/null'); return false; } catch { return true; } };
      while (!full());
      const [room, fds] = [Buffer.alloc(10), []];
      const size = io.receiveMessage(b, room, fds);
      fs.writeSync(1, JSON.stringify([room.toString('latin1', 0, size), fds]));`;
    const limited = 'ulimit -n 64 && exec "$0" -e "$1"';
    const { stdout } = spawnSync('sh', ['-c', limited, process.execPath, code], { encoding: 'utf8' });
    expect(JSON.parse(stdout)).toEqual(['bytes', [LOST_FDS]]);
  });

  test('nothing is received without room', () => {
    const [a, b] = io.socketpair();
    io.sendMessage(a, Buffer.from('bytes'), []);
    expect(() => io.receiveMessage(b, Buffer.alloc(0), [])).toThrow(/room/);
    const room = Buffer.alloc(3);
    expect(io.receiveMessage(b, room, [])).toBe(3);
    expect(room.toString()).toBe('byt');
    expect(io.receiveMessage(b, room, [])).toBe(2);
    expect(io.receiveMessage(b, room, [])).toBe(-1);
    for (const fd of [a, b]) io.close(fd);
  });

  test('descriptors need a byte to ride on', () => {
    const [a, b] = io.socketpair();
    expect(() => io.sendMessage(a, Buffer.alloc(0), [a])).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
    for (const fd of [a, b]) io.close(fd);
  });

  test('more descriptors than allowed are refused and closed', async () => {
    const path = join(directory, 'many.sock');
    const listener = io.listenUnix(path, 0o600);
    // Python's socket module sends what we would not.
    const python = `import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(${JSON.stringify(path)})
socket.send_fds(s,[b'x'],[0]*9); sys.stdin.read()`;
    const process = spawn('python3', ['-c', python], { stdio: ['pipe', 'inherit', 'inherit'] });
    const { fd } = await poll(() => io.accept(listener));
    const before = openFds();
    const receive = () => {
      try {
        return receiveFrom(io, fd, 100);
      } catch (error) {
        return error as NodeJS.ErrnoException;
      }
    };
    expect(await poll(receive)).toMatchObject({ code: 'EMSGSIZE' });
    expect(openFds()).toBe(before);
    process.stdin.end();
    await once(process, 'close');
    for (const open of [fd, listener]) io.close(open);
  });
});

describe('tcp', () => {
  test.each(['127.0.0.1', '::1'])('accept on %s gives both ends; priorities can be set', async (address) => {
    const listener = io.listenTcp(address, 0, 16);
    const port = listenerPort(listener);
    expect(() => io.listenTcp(address, port, 16)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
    const client = connect(port, address);
    const accepted = await poll(() => io.accept(listener));
    await poll(() => client.localPort ?? null);
    expect(accepted.local).toEqual({ address, port });
    expect(accepted.remote).toEqual({ address, port: client.localPort });
    expect(io.socketAddresses(accepted.fd)).toEqual({ remote: accepted.remote, local: accepted.local });
    io.setNetPriority(accepted.fd, 0);
    io.setNetPriority(accepted.fd, 6);
    io.setNetPriority(accepted.fd, 0x20);
    expect(() => io.setNetPriority(accepted.fd, 7)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => io.peerCredentials(accepted.fd)).toThrow();
    client.destroy();
    for (const fd of [accepted.fd, listener]) io.close(fd);
  });
});

test('what the kernel offers is probed by trying', () => {
  const offloads = io.probeOffloads();
  expect(Object.keys(offloads)).toEqual(['tunVnetHdr', 'tunTso', 'tunUso', 'udpSegment', 'udpGro']);
  // Linux 4.18 and 5.0 have these two, and no test machine is older.
  expect(offloads).toMatchObject({ udpSegment: true, udpGro: true });
  expect(io.probeOffloads()).toEqual(offloads);
});
