import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Channel, ChannelOptions, IpcListener } from '../../src/core/ipc/api.js';
import { connectIpc, listenIpc, MAX_PER_PROCESS } from '../../src/core/ipc/channel.js';
import { encodeFrame } from '../../src/core/ipc/frame.js';
import { IPC_VERSION, messageOf } from '../../src/core/ipc/registry.js';
import { SocketTransport } from '../../src/core/ipc/socket-transport.js';
import { native } from '../../src/core/native/index.js';
import { receiveFrom } from '../../src/core/native/receive.js';
import { only, openFds, recordingLog, until } from './ipc-support.js';

const { io } = native;
const peerScript = fileURLToPath(new URL('./ipc-peer.mjs', import.meta.url));
const { log, lines } = recordingLog();
let directory: string;
let path: string;
let listener: IpcListener | undefined;
let fdsBefore: number;

beforeEach(() => {
  fdsBefore = openFds();
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-ipc-'));
  path = join(directory, 'main.sock');
  lines.length = 0;
});
afterEach(async () => {
  listener?.close();
  rmSync(directory, { recursive: true });
  await until(() => openFds() === fdsBefore);
});

type MainOptions = Partial<ChannelOptions<'main', 'worker'>>;

/** A main that takes every worker. */
function serve(options: MainOptions = {}): Channel<'main', 'worker'>[] {
  const channels: Channel<'main', 'worker'>[] = [];
  listener = listenIpc({
    path,
    mode: 0o600,
    self: 'main',
    log,
    accept: (role) =>
      role === 'worker' ? { self: 'main', peer: 'worker', log, handlers: only({}), ...options } : null,
    onChannel: (channel) => channels.push(channel as Channel<'main', 'worker'>),
  });
  return channels;
}

const workerOptions = (
  more: Partial<ChannelOptions<'worker', 'main'>> = {},
): ChannelOptions<'worker', 'main'> => ({
  self: 'worker',
  peer: 'main',
  log,
  handlers: only({}),
  ...more,
});

async function readText(fd: number): Promise<string> {
  for (;;) {
    const message = receiveFrom(io, fd, 1000);
    if (message) return message.data.toString();
    await new Promise(setImmediate);
  }
}

/** Sends bytes as they are and resolves when the server has closed the connection. */
async function sendRaw(bytes: Buffer, fds: number[] = []): Promise<void> {
  const fd = io.connectUnix(path);
  io.sendMessage(fd, bytes, fds);
  const ended = () => {
    try {
      return receiveFrom(io, fd, 1000)?.data.length === 0;
    } catch {
      return true; // reset: closed with our bytes unread
    }
  };
  await until(ended);
  io.close(fd);
}

describe('two processes', () => {
  test('exchange requests, descriptors and last words', async () => {
    const [ours, theirs] = io.socketpair();
    const [ours2, theirs2] = io.socketpair();
    const closed: unknown[] = [];
    let cookie: Buffer | undefined;
    const channels = serve({
      stateOf: () => 'INACTIVE',
      handlers: only({
        AUTH_COOKIE_REQ: (body) => {
          cookie = Buffer.from(body.cookie);
          return {
            body: { reply: 'FAILED', reason: 'no session, but a descriptor', session: null },
            fds: [theirs],
          };
        },
        CLIENT_CLOSED: (body) => void closed.push(body),
      }),
    });
    const child = spawn(process.execPath, [peerScript, path], { stdio: ['ignore', 'inherit', 'inherit'] });
    expect(await readText(ours)).toBe('FAILED no session, but a descriptor');
    expect(cookie).toEqual(Buffer.alloc(32, 9));
    const [channel] = channels;
    expect(channel?.credentials).toEqual({
      pid: child.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    channel?.send('UDP_FD', { client: 1, hello: true, data: Buffer.from('datagram') }, [theirs2]);
    expect(await readText(ours2)).toBe('datagram');
    await until(() => closed.length > 0);
    expect(closed).toEqual([
      expect.objectContaining({
        client: 1,
        reason: 'user-disconnect',
        detail: 'last words',
        bytesIn: 2 ** 40,
      }),
    ]);
    channel?.close();
    expect(await once(child, 'exit')).toEqual([7, null]);
    for (const fd of [ours, ours2]) io.close(fd);
  });

  test('a peer that is killed closes the channel without a violation', async () => {
    let violation: Error | null | undefined;
    const channels = serve({ onClose: (_, error) => (violation = error), stateOf: () => 'INACTIVE' });
    const child = spawn(process.execPath, [peerScript, path], { stdio: ['ignore', 'inherit', 'inherit'] });
    await until(() => channels.length > 0);
    child.kill('SIGKILL');
    await until(() => violation !== undefined);
    expect(violation).toBeNull();
    expect(channels[0]?.closed).toBe(true);
  });
});

describe('many messages', () => {
  test('keep their order and their descriptors through a full socket', async () => {
    const channels = serve();
    const received: number[] = [];
    const worker = await connectIpc(
      path,
      workerOptions({
        handlers: only({
          UDP_FD: ({ client, data }, { fds }) => {
            // The descriptor is the write end of the pair whose number the datagram carries.
            expect(io.sendMessage(fds[0] as number, data.subarray(0, 2), [])).toBe(2);
            io.close(fds[0] as number);
            received.push(client);
          },
          TERMINATE: ({ client }) => void received.push(client),
        }),
      }),
    );
    const pairs: [number, Buffer][] = [];
    const sent: number[] = [];
    for (let client = 0; client < 120; client++) {
      sent.push(client);
      if (client % 3 === 0) {
        const how = client % 2 ? 'send' : 'sendLater';
        channels[0]?.[how]('TERMINATE', { client, how: 'drop', reason: 'error' });
        continue;
      }
      const [ours, theirs] = io.socketpair();
      const data = Buffer.alloc(client % 3 === 1 ? 12_000 : 2, client);
      pairs.push([ours, data.subarray(0, 2)]);
      channels[0]?.send('UDP_FD', { client, hello: true, data }, [theirs]);
    }
    await until(() => received.length === sent.length);
    expect(received).toEqual(sent);
    for (const [fd, mark] of pairs) {
      expect(receiveFrom(io, fd, 10)?.data).toEqual(mark);
      io.close(fd);
    }
    worker.close();
  });

  test('a peer that does not read is closed and its descriptors with it', async () => {
    let violation: Error | null | undefined;
    const channels = serve({ onClose: (_, error) => (violation = error) });
    const silent = io.connectUnix(path);
    io.sendMessage(silent, encodeFrame(messageOf('HELLO'), 1, { role: 'worker', version: IPC_VERSION }), []);
    await until(() => channels.length > 0);
    while (violation === undefined) {
      const [ours, theirs] = io.socketpair();
      io.close(ours);
      channels[0]?.send('UDP_FD', { client: 1, hello: true, data: Buffer.alloc(65_000) }, [theirs]);
      await Promise.resolve();
    }
    expect(violation).toMatchObject({ code: 'OCS_IPC_VIOLATION', cause: { kind: 'backlog' } });
    io.close(silent);
  });

  test('close() sends what is queued', async () => {
    const channels = serve();
    let count = 0;
    let closed = false;
    await connectIpc(
      path,
      workerOptions({
        handlers: only({
          UDP_FD: (_, { fds }) => {
            io.close(fds[0] as number);
            count++;
          },
        }),
        onClose: () => (closed = true),
      }),
    );
    for (let i = 0; i < 15; i++) {
      const [ours, theirs] = io.socketpair();
      io.close(ours);
      channels[0]?.send('UDP_FD', { client: i, hello: true, data: Buffer.alloc(60_000) }, [theirs]);
    }
    channels[0]?.close();
    await until(() => closed);
    expect(count).toBe(15);
  });
});

test('what was received is wiped once it was handled', async () => {
  const [ours, theirs] = io.socketpair();
  const transport = new SocketTransport(io, theirs);
  const seen: { data: Buffer; text: string }[] = [];
  transport.start({ onData: (data) => seen.push({ data, text: data.toString() }), onEnd: () => undefined });
  for (const text of ['a long secret', 'short']) {
    const count = seen.length;
    io.sendMessage(ours, Buffer.from(text), []);
    await until(() => seen.length > count);
    expect(seen.at(-1)?.text).toBe(text);
    for (const { data } of seen) expect(data).toEqual(Buffer.alloc(data.length));
  }
  transport.destroy();
  io.close(ours);
});

describe('what can wait', () => {
  const frames = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));
  const opened: { transport: SocketTransport; ours: number }[] = [];

  function open(): { transport: SocketTransport; read: () => string | null; ours: number } {
    const [ours, theirs] = io.socketpair();
    const transport = new SocketTransport(io, theirs);
    transport.start({ onData: () => undefined, onEnd: () => undefined });
    opened.push({ transport, ours });
    return { transport, ours, read: () => receiveFrom(io, ours, 100_000)?.data.toString() ?? null };
  }

  afterEach(() => {
    for (const { transport, ours } of opened.splice(0)) {
      transport.destroy();
      io.close(ours);
    }
  });

  test('goes with the next frame, as one message, and leaves no copy', () => {
    const { transport, read } = open();
    const [first, second, third] = frames('first ', 'second ', 'third') as [Buffer, Buffer, Buffer];
    transport.sendLater(first);
    transport.sendLater(second);
    expect(read()).toBeNull();
    expect(transport.queuedBytes).toBe('first second '.length);
    transport.send(third, []);
    expect(read()).toBe('first second third');
    expect(transport.queuedBytes).toBe(0);
    for (const frame of [first, second, third]) expect(frame).toEqual(Buffer.alloc(frame.length));
  });

  test('goes alone when nothing follows', async () => {
    const { transport, ours } = open();
    const [frame] = frames('alone') as [Buffer];
    transport.sendLater(frame);
    expect(await readText(ours)).toBe('alone');
  });

  test('goes before a frame with a descriptor, which keeps its own', () => {
    const { transport, ours } = open();
    const [before, carrier] = frames('before', 'carrier') as [Buffer, Buffer];
    const [a, b] = io.socketpair();
    transport.sendLater(before);
    transport.send(carrier, [b]);
    // The kernel ends a receive after bytes with descriptors, not before them.
    const received = receiveFrom(io, ours, 100);
    expect(received?.data.toString()).toBe('beforecarrier');
    expect(received?.fds).toHaveLength(1);
    expect(receiveFrom(io, ours, 100)).toBeNull();
    for (const fd of [a, ...(received?.fds ?? [])]) io.close(fd);
  });

  test('is not lost when the channel closes, and dropped when it is destroyed', () => {
    const orderly = open();
    orderly.transport.sendLater(Buffer.from('last words'));
    orderly.transport.close();
    expect(orderly.read()).toBe('last words');
    const cut = open();
    const secret = Buffer.from('secret');
    cut.transport.sendLater(secret);
    cut.transport.destroy();
    expect(cut.read()).toBe('');
    expect(secret).toEqual(Buffer.alloc(6));
  });
});

describe('HELLO', () => {
  const refused = () => lines.filter(({ text }) => text.startsWith('ipc connection refused'));

  test('something else first, noise, and a descriptor are refused and leak nothing', async () => {
    serve();
    const hello = encodeFrame(messageOf('HELLO'), 1, { role: 'worker', version: IPC_VERSION });
    await sendRaw(encodeFrame(messageOf('BAN_IP'), 1, { client: 1, score: 1 }));
    await sendRaw(Buffer.from('GET / HTTP/1.0\r\n\r\n'));
    await sendRaw(Buffer.concat([hello, hello]));
    const [a, b] = io.socketpair();
    await sendRaw(hello, [a]);
    for (const fd of [a, b]) io.close(fd);
    expect(refused()).toHaveLength(4);
  });

  test('another version is refused', async () => {
    serve();
    await sendRaw(encodeFrame(messageOf('HELLO'), 1, { role: 'worker', version: IPC_VERSION + 1 }));
    expect(refused()[0]?.fields.reason).toContain(`version ${IPC_VERSION + 1}, not ${IPC_VERSION}`);
  });

  test('a role that is not accepted', async () => {
    serve();
    const options = { self: 'main', peer: 'secmod', log, handlers: only({}) } as const;
    await expect(connectIpc<'main', 'secmod'>(path, options)).rejects.toMatchObject({
      code: 'OCS_IPC_CLOSED',
    });
    expect(refused()).toHaveLength(1);
  });

  /** HELLO from uid 65534: the number of bytes that came back. */
  async function helloFromNobody(role: 'main' | 'worker'): Promise<string> {
    const bytes = encodeFrame(messageOf('HELLO'), 1, { role, version: IPC_VERSION }).toString('hex');
    const python = `import os,socket
os.setuid(65534); s=socket.socket(socket.AF_UNIX); s.connect(${JSON.stringify(path)})
try: s.sendall(bytes.fromhex('${bytes}')); print(len(s.recv(100)))
except OSError: print(0)`;
    chmodSync(directory, 0o755);
    const child = spawn('python3', ['-c', python], { stdio: ['ignore', 'pipe', 'inherit'] });
    return String((await once(child.stdout, 'data'))[0]).trim();
  }

  const secmodListener = (knows?: (uid: number) => boolean) =>
    listenIpc({
      path,
      mode: 0o666,
      self: 'secmod',
      log,
      ...(knows && { knows: ({ uid }) => knows(uid) }),
      accept: (role) => ({ self: 'secmod', peer: role, log, handlers: only({}) }) as never,
      onChannel: () => {},
    });

  test('role main needs the uid of the acceptor or root', async () => {
    listener = secmodListener();
    expect(await helloFromNobody('main')).toBe('0');
    expect(refused()[0]?.fields).toMatchObject({ reason: 'uid 65534 may not be main', role: 'main' });
  });

  test('a process has so many connections at once, and another when it closed one', async () => {
    serve();
    const open: Channel<'worker', 'main'>[] = [];
    while (open.length < MAX_PER_PROCESS) open.push(await connectIpc(path, workerOptions({})));
    const more = () => connectIpc(path, workerOptions({}));
    await expect(more()).rejects.toMatchObject({ code: 'OCS_IPC_CLOSED' });
    expect(lines.map(({ text }) => text)).toContain('ipc connection of a process with too many closed');
    open.pop()?.close();
    for (let channel = null; channel === null; ) {
      channel = await more().catch(() => null);
      if (channel) open.push(channel);
    }
    for (const channel of open) channel.close();
  });

  test('a stranger is closed before its HELLO, somebody known is not', async () => {
    listener = secmodListener((uid) => uid === 0);
    expect(await helloFromNobody('worker')).toBe('0');
    expect(refused()).toHaveLength(0);
    expect(lines.map(({ text }) => text)).toContain('ipc connection of a stranger closed');
    listener.close();
    listener = secmodListener((uid) => uid === 65534);
    expect(Number(await helloFromNobody('worker'))).toBeGreaterThan(0);
  });
});

describe('the socket file', () => {
  test('of a live server is not taken over, a stale one is, a file is not', async () => {
    serve();
    expect(() => serve()).toThrow(expect.objectContaining({ code: 'OCS_IPC_IN_USE' }));
    expect(existsSync(path)).toBe(true);
    listener?.close();
    expect(existsSync(path)).toBe(false);
    io.close(io.listenUnix(path, 0o600));
    expect(existsSync(path)).toBe(true);
    serve();
    const worker = await connectIpc(path, workerOptions());
    worker.close();
    listener?.close();
    writeFileSync(path, 'precious');
    expect(() => serve()).toThrow(/exists and is not a socket/);
  });

  test('that is missing, or cannot be made, is a clear error', async () => {
    await expect(connectIpc(path, workerOptions())).rejects.toMatchObject({
      code: 'OCS_IPC_CONNECT',
      message: expect.stringMatching(/main process cannot be reached at .*main\.sock: .*ENOENT/),
    });
    path = join(directory, 'none', 'main.sock');
    expect(() => serve()).toThrow(expect.objectContaining({ code: 'OCS_IPC_LISTEN' }));
  });
});
