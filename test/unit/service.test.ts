/** What a service manager passes to us (sockets) and hears from us (sd_notify), over real sockets. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { native } from '../../src/core/native/index.js';
import { takePassedSockets } from '../../src/core/service/listen-fds.js';
import { ServiceNotifier } from '../../src/core/service/notify.js';
import { silent } from './main-support.js';

const { io } = native;
const handleOf = (socket: Socket | Server) =>
  (socket as unknown as { _handle: { fd: number; recvStop(): void } })._handle;
const descriptorOf = (socket: Socket | Server): number => handleOf(socket).fd;

describe('passed sockets', () => {
  const open: (Socket | Server)[] = [];
  afterEach(() => {
    for (const socket of open.splice(0)) socket.close();
  });
  const udp = async (address = '127.0.0.1') => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, address);
    await once(socket, 'listening');
    open.push(socket);
    return socket;
  };
  const tcp = async (where: { host: string; port: number } | { path: string }) => {
    const server = createServer().listen(where);
    await once(server, 'listening');
    open.push(server);
    return server;
  };

  it('are told apart by what they are', async () => {
    const listener = await tcp({ host: '127.0.0.1', port: 0 });
    const datagrams = await udp();
    const { port } = listener.address() as { port: number };
    expect(io.adoptSocket(descriptorOf(listener))).toEqual({
      kind: 'tcp',
      local: { address: '127.0.0.1', port },
    });
    expect(io.adoptSocket(descriptorOf(datagrams))).toEqual({
      kind: 'udp',
      local: { address: '127.0.0.1', port: datagrams.address().port },
    });
    expect(io.adoptSocket(descriptorOf(await tcp({ path: '\0ocvpn-service-test' }))).kind).toBe('other');
    const file = openSync('/dev/null', 'r');
    expect(() => io.adoptSocket(file)).toThrow(/ENOTSOCK/);
    closeSync(file);
  });

  it('bring the local address of a datagram, and share their port with the sockets of clients', async () => {
    const socket = await udp('0.0.0.0');
    const { port } = socket.address();
    const fd = descriptorOf(socket);
    // Its datagrams are for us and not for Node.
    handleOf(socket).recvStop();
    io.adoptSocket(fd);
    const sender = await udp();
    const remote = { address: '127.0.0.1', port: sender.address().port };
    sender.send('hello', port, '127.0.0.3');
    const received = await vi.waitUntil(() => io.receiveDatagram(fd));
    expect(received).toMatchObject({ remote, local: { address: '127.0.0.3', port } });
    io.close(io.connectUdp(received.local, remote));
  });

  const passing = (fds: string, names?: string) => ({
    LISTEN_PID: '77',
    LISTEN_FDS: fds,
    ...(names !== undefined && { LISTEN_FDNAMES: names }),
    HOME: '/',
  });
  const local = { address: '192.0.2.1', port: 443 };

  it('are sorted, with their names, and the variables are gone for children', () => {
    const kinds = ['tcp', 'udp', 'tcp'] as const;
    const env: NodeJS.ProcessEnv = passing('3', 'https:dtls');
    const adoptSocket = (fd: number) => ({ kind: kinds[fd - 3] ?? ('other' as const), local });
    expect(takePassedSockets({ adoptSocket }, env, 77)).toEqual({
      tcp: [
        { fd: 3, name: 'https', ...local },
        { fd: 5, name: 'unknown', ...local },
      ],
      udp: [{ fd: 4, name: 'dtls', ...local }],
    });
    expect(env).toEqual({ HOME: '/' });
  });

  it('for another process are not touched', () => {
    const adoptSocket = vi.fn();
    const env: NodeJS.ProcessEnv = passing('2');
    expect(takePassedSockets({ adoptSocket }, env, 78)).toEqual({ tcp: [], udp: [] });
    expect(takePassedSockets({ adoptSocket }, {}, 78)).toEqual({ tcp: [], udp: [] });
    expect(adoptSocket).not.toHaveBeenCalled();
    expect(env).toEqual({ HOME: '/' });
  });

  it.each([
    [
      'a descriptor that is no socket',
      '1',
      'Descriptor 3 (web) from the service manager cannot be used: ENOTSOCK',
    ],
    ['a unix socket', '2', 'Descriptor 4 (unknown) from the service manager cannot be used: it is no'],
    ['a number that is none', 'many', 'LISTEN_FDS is many'],
  ])('%s is refused by name', (_what, count, sentence) => {
    const adoptSocket = (fd: number) => {
      if (fd === 3 && count === '1') throw new Error('ENOTSOCK');
      return { kind: fd === 3 ? ('tcp' as const) : ('other' as const), local };
    };
    expect(() => takePassedSockets({ adoptSocket }, passing(count, 'web'), 77)).toThrow(sentence);
  });
});

describe('a service manager', () => {
  /** Without a socket at the other end. */
  function recorded(env: NodeJS.ProcessEnv) {
    const sent: string[] = [];
    const sendToUnix = (path: string, text: string) => void sent.push(`${path} ${text}`);
    const notifier = new ServiceNotifier({ io: { sendToUnix }, log: silent, env, monotonicUsec: () => 42n });
    return { notifier, sent };
  }
  afterEach(() => {
    vi.useRealTimers();
  });

  it('hears of the start, a reload and the end, and nothing after that', () => {
    const env: NodeJS.ProcessEnv = { NOTIFY_SOCKET: '/run/notify', HOME: '/' };
    const { notifier, sent } = recorded(env);
    notifier.ready('listening');
    notifier.reloading();
    notifier.ready();
    notifier.stopping('ending');
    notifier.reloading();
    notifier.ready();
    expect(sent).toEqual([
      '/run/notify READY=1\nSTATUS=listening',
      '/run/notify RELOADING=1\nMONOTONIC_USEC=42',
      '/run/notify READY=1',
      '/run/notify STOPPING=1\nSTATUS=ending',
    ]);
    expect(env).toEqual({ HOME: '/' });
  });

  it('hears nothing when there is none', () => {
    const { notifier, sent } = recorded({});
    notifier.ready('listening');
    notifier.stopping('ending');
    expect(sent).toEqual([]);
  });

  it('gets a sign of life at half of its watchdog time', () => {
    vi.useFakeTimers();
    const { notifier, sent } = recorded({
      NOTIFY_SOCKET: '@x',
      WATCHDOG_USEC: '6000000',
      WATCHDOG_PID: String(process.pid),
    });
    expect(sent).toEqual([]);
    notifier.ready();
    notifier.ready();
    vi.advanceTimersByTime(6000);
    expect(sent.filter((text) => text === '@x WATCHDOG=1')).toHaveLength(3);
    notifier.close();
    vi.advanceTimersByTime(60_000);
    expect(sent.filter((text) => text === '@x WATCHDOG=1')).toHaveLength(3);
  });

  it('gets none when the watchdog is for another process', () => {
    vi.useFakeTimers();
    const { notifier, sent } = recorded({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: '6000000', WATCHDOG_PID: '1' });
    notifier.ready();
    vi.advanceTimersByTime(60_000);
    expect(sent).toEqual(['@x READY=1']);
  });

  it('that is gone is a warning, once, and no failure', () => {
    const warn = vi.spyOn(silent, 'warn');
    const notifier = new ServiceNotifier({ io, log: silent, env: { NOTIFY_SOCKET: '/nowhere/notify' } });
    notifier.ready('listening');
    notifier.reloading();
    expect(warn).toHaveBeenCalledOnce();
  });
});
