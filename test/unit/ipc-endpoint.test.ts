import { openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Channel, ChannelOptions } from '../../src/core/ipc/api.js';
import type { RawBody } from '../../src/core/ipc/codec.js';
import { Endpoint } from '../../src/core/ipc/endpoint.js';
import { encodeFrame, HEADER_BYTES } from '../../src/core/ipc/frame.js';
import { joinChannels, MemoryTransport } from '../../src/core/ipc/memory-channel.js';
import type { MessageName, Role } from '../../src/core/ipc/messages.js';
import { MAX_IN_FLIGHT } from '../../src/core/ipc/permissions.js';
import { IPC_VERSION, messageOf } from '../../src/core/ipc/registry.js';
import { IpcViolation } from '../../src/core/ipc/violation.js';
import { only, openFds, recordingLog, until } from './ipc-support.js';

const SID = Buffer.alloc(32, 7);
const credentials = { pid: 1, uid: 0, gid: 0 };
const silent = recordingLog().log;

const mainSide = (
  more: Partial<ChannelOptions<'main', 'worker'>> = {},
): ChannelOptions<'main', 'worker'> => ({
  self: 'main',
  peer: 'worker',
  handlers: only({}),
  log: silent,
  ...more,
});
const workerSide = (
  more: Partial<ChannelOptions<'worker', 'main'>> = {},
): ChannelOptions<'worker', 'main'> => ({
  self: 'worker',
  peer: 'main',
  handlers: only({}),
  log: silent,
  ...more,
});

/** A main whose worker is under the test's control, byte by byte. */
function mainWithRawWorker(more: Partial<ChannelOptions<'main', 'worker'>> = {}) {
  const [left, right] = MemoryTransport.pair();
  const { log, lines } = recordingLog();
  let violation: Error | null | undefined;
  const options = mainSide({
    log,
    stateOf: (client) => (client === 1 ? 'INACTIVE' : client === 2 ? 'COMPLETED' : undefined),
    onClose: (_, error) => {
      violation = error;
    },
    ...more,
  });
  const endpoint = new Endpoint<'main', 'worker'>(left, credentials, options, true);
  endpoint.start();
  const received: Buffer[] = [];
  right.start({ onData: (data) => received.push(Buffer.from(data)), onEnd: () => {} });
  const send = (name: MessageName, correlation: number, body: RawBody, fds: number[] = []) =>
    right.send(encodeFrame(messageOf(name), correlation, body), fds);
  const kind = async () => {
    await until(() => violation !== undefined);
    return ((violation as Error).cause as IpcViolation).kind;
  };
  return { endpoint, raw: right, send, received, kind, lines };
}

const cookieRequest = (client: number) => ({ client, cookie: SID, hostname: 'pc', ipv4: true, ipv6: false });
const mtu = (client: number) => ({ client, mtu: 1400 });

describe('calls', () => {
  test('a request gets its own reply, also out of order', async () => {
    const release: (() => void)[] = [];
    const [main, worker] = joinChannels(
      mainSide({
        handlers: only({
          BAN_IP: async ({ score }) => {
            if (score === 1) await new Promise<void>((resolve) => release.push(resolve));
            else release[0]?.();
            return { allowed: score === 1 };
          },
        }),
      }),
      workerSide(),
    );
    const replies = await Promise.all([
      worker.call('BAN_IP', { client: 1, score: 1 }),
      worker.call('BAN_IP', { client: 1, score: 2 }),
    ]);
    expect(replies.map(({ body }) => body.allowed)).toEqual([true, false]);
    main.close();
  });

  test('no answer in time rejects, and the late answer is not a violation', async () => {
    let answer: (() => void) | undefined;
    const [main, worker] = joinChannels(
      mainSide({
        handlers: only({
          BAN_IP: async ({ score }) => {
            if (score === 1) await new Promise<void>((resolve) => (answer = resolve));
            return { allowed: true };
          },
        }),
      }),
      workerSide(),
    );
    await expect(worker.call('BAN_IP', { client: 1, score: 1 }, { timeoutMs: 1 })).rejects.toMatchObject({
      code: 'OCS_IPC_TIMEOUT',
      details: { message: 'BAN_IP', milliseconds: 1 },
    });
    await until(() => answer !== undefined);
    answer?.();
    await expect(worker.call('BAN_IP', { client: 1, score: 2 })).resolves.toMatchObject({
      body: { allowed: true },
    });
    main.close();
  });

  test('closing rejects what is pending', async () => {
    const [main, worker] = joinChannels(
      mainSide({ handlers: only({ BAN_IP: () => new Promise(() => {}) }) }),
      workerSide(),
    );
    const pending = worker.call('BAN_IP', { client: 1, score: 1 });
    main.close();
    await expect(pending).rejects.toMatchObject({ code: 'OCS_IPC_CLOSED' });
    await expect(worker.call('BAN_IP', { client: 1, score: 1 })).rejects.toMatchObject({
      code: 'OCS_IPC_CLOSED',
    });
  });

  test('more requests than the peer allows at once wait for their turn', async () => {
    let running = 0;
    let most = 0;
    const [main, worker] = joinChannels(
      mainSide({
        handlers: only({
          BAN_IP: async () => {
            most = Math.max(most, ++running);
            await new Promise(setImmediate);
            running--;
            return { allowed: true };
          },
        }),
      }),
      workerSide(),
    );
    const calls = Array.from({ length: MAX_IN_FLIGHT + 100 }, () =>
      worker.call('BAN_IP', { client: 1, score: 1 }),
    );
    expect(await Promise.all(calls)).toHaveLength(MAX_IN_FLIGHT + 100);
    expect(most).toBeLessThanOrEqual(MAX_IN_FLIGHT);
    main.close();
  });

  test('a handler that throws is logged without secrets, and the channel goes on', async () => {
    const { log, lines } = recordingLog();
    const [main, worker] = joinChannels(
      mainSide({
        log,
        stateOf: () => 'INACTIVE',
        handlers: only({
          AUTH_COOKIE_REQ: () => {
            throw new Error('boom');
          },
          BAN_IP: () => ({ allowed: true }),
        }),
      }),
      workerSide(),
    );
    const failed = worker.call('AUTH_COOKIE_REQ', cookieRequest(1), { timeoutMs: 50 });
    await expect(failed).rejects.toMatchObject({ code: 'OCS_IPC_TIMEOUT' });
    await worker.call('BAN_IP', { client: 1, score: 1 });
    const line = lines.find(({ level }) => level === 'error');
    expect(line?.fields.body).toMatchObject({ client: 1, cookie: '[secret 32]', hostname: 'pc' });
    expect(JSON.stringify(lines)).not.toContain(SID.toString('hex'));
    main.close();
  });
});

describe('senders', () => {
  const wrong: [string, (worker: Channel<'worker', 'main'>) => unknown][] = [
    ['a value out of bounds', (worker) => worker.send('TUN_MTU', { client: 1, mtu: 2 ** 32 })],
    [
      'text that is too long',
      (worker) => worker.send('SESSION_INFO', { ...sessionInfo(), cstpCompr: 'x'.repeat(17) }),
    ],
    ['a lone surrogate', (worker) => worker.send('SESSION_INFO', { ...sessionInfo(), cstpCompr: '\ud800' })],
    ['descriptors where none belong', (worker) => worker.send('TUN_MTU', mtu(1), [0])],
  ];
  const sessionInfo = () => ({
    client: 1,
    tlsCiphersuite: '',
    dtlsCiphersuite: '',
    cstpCompr: '',
    dtlsCompr: '',
    pid: 1,
  });

  test.each(wrong)('%s throws at the sender and keeps the channel', async (_, send) => {
    const seen: unknown[] = [];
    const [main, worker] = joinChannels(
      mainSide({ stateOf: () => 'COMPLETED', handlers: only({ TUN_MTU: (body) => void seen.push(body) }) }),
      workerSide(),
    );
    expect(() => send(worker)).toThrow(IpcViolation);
    worker.send('TUN_MTU', mtu(1));
    await until(() => seen.length > 0);
    expect(seen).toEqual([mtu(1)]);
    main.close();
  });
});

describe('violations', () => {
  type Peer = ReturnType<typeof mainWithRawWorker>;
  const cases: [string, string, (peer: Peer) => void][] = [
    ['wrong direction', 'direction', (peer) => peer.send('TERMINATE', 0, terminate())],
    ['unknown message', 'message', (peer) => peer.raw.send(Buffer.from([99, 0, 0, 0, 0, 0, 0, 0, 0]), [])],
    ['second HELLO', 'hello', (peer) => peer.send('HELLO', 1, { role: 'worker', version: IPC_VERSION })],
    ['body over its limit, before it arrives', 'size', (peer) => peer.raw.send(header(16, 1 << 30, 1), [])],
    ['state that does not allow it', 'state', (peer) => peer.send('TUN_MTU', 0, mtu(1))],
    ['unknown client', 'state', (peer) => peer.send('TUN_MTU', 0, mtu(3))],
    ['one-way message with a correlation', 'correlation', (peer) => peer.send('TUN_MTU', 5, mtu(2))],
    [
      'request without a correlation',
      'correlation',
      (peer) => peer.send('BAN_IP', 0, { client: 1, score: 1 }),
    ],
    [
      'cut body',
      'truncated',
      (peer) => peer.raw.send(Buffer.concat([header(11, 1, 0), Buffer.from([1])]), []),
    ],
    [
      'long body',
      'trailing',
      (peer) => peer.raw.send(Buffer.concat([header(11, 9, 0), Buffer.alloc(9)]), []),
    ],
  ];
  const terminate = () => ({ client: 1, how: 'drop', reason: 'error' });
  const header = (id: number, length: number, correlation: number) => {
    const bytes = Buffer.alloc(HEADER_BYTES);
    bytes.writeUInt8(id, 0);
    bytes.writeUInt32LE(length, 1);
    bytes.writeUInt32LE(correlation, 5);
    return bytes;
  };

  test.each(cases)('%s: %s', async (_, kind, send) => {
    const peer = mainWithRawWorker();
    send(peer);
    expect(await peer.kind()).toBe(kind);
    expect(peer.endpoint.closed).toBe(true);
    expect(peer.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  test('once per client: the second time', async () => {
    const peer = mainWithRawWorker({
      handlers: only({ AUTH_COOKIE_REQ: () => ({ reply: 'FAILED', reason: '', session: null }) }),
    });
    peer.send('AUTH_COOKIE_REQ', 1, cookieRequest(1));
    await until(() => peer.received.length === 1);
    peer.send('AUTH_COOKIE_REQ', 2, cookieRequest(1));
    expect(await peer.kind()).toBe('once');
  });

  test('the same correlation twice at once', async () => {
    const peer = mainWithRawWorker({ handlers: only({ BAN_IP: () => new Promise(() => {}) }) });
    for (let i = 0; i < 2; i++) peer.send('BAN_IP', 4, { client: 1, score: 1 });
    expect(await peer.kind()).toBe('correlation');
  });

  test('more unanswered requests than allowed', async () => {
    const peer = mainWithRawWorker({ handlers: only({ BAN_IP: () => new Promise(() => {}) }) });
    for (let i = 1; i <= MAX_IN_FLIGHT + 1; i++) peer.send('BAN_IP', i, { client: 1, score: 1 });
    expect(await peer.kind()).toBe('flood');
  });

  test('a reply to nothing, and one to something else', async () => {
    const [left, right] = MemoryTransport.pair();
    let violation: Error | null = null;
    const onClose = (_: unknown, error: Error | null) => {
      violation = error;
    };
    const worker = new Endpoint<'worker', 'main'>(left, credentials, workerSide({ onClose }), true);
    worker.start();
    const call = worker.call('BAN_IP', { client: 1, score: 1 });
    right.send(
      encodeFrame(messageOf('AUTH_COOKIE_REP'), 1, { reply: 'FAILED', reason: '', session: null }),
      [],
    );
    await expect(call).rejects.toMatchObject({ code: 'OCS_IPC_CLOSED' });
    await until(() => violation !== null);
    expect(violation).toMatchObject({ code: 'OCS_IPC_VIOLATION', cause: { kind: 'reply' } });
    const peer = mainWithRawWorker();
    const reply = encodeFrame(messageOf('SECM_STARTUP_REPLY'), 1, { vhosts: [] });
    peer.raw.send(reply, []);
    expect(await peer.kind()).toBe('direction');
  });

  test('a peer that does not read', async () => {
    const before = openFds();
    const [left, right] = MemoryTransport.pair();
    let violation: Error | null = null;
    const main = new Endpoint<'main', 'worker'>(
      left,
      credentials,
      mainSide({ onClose: (_, error) => (violation = error) }),
      true,
    );
    main.start();
    const body = { client: 1, hello: true, data: Buffer.alloc(60_000) };
    const fds = () => [openSync('/dev/null', 'r')];
    for (let i = 0; i < 100; i++) main.send('UDP_FD', body, fds());
    await until(() => violation !== null);
    expect(violation).toMatchObject({ cause: { kind: 'backlog' } });
    main.send('UDP_FD', body, fds());
    right.destroy();
    expect(openFds()).toBe(before);
  });
});

describe('descriptors', () => {
  test('one too many or too few closes the peer and every descriptor', async () => {
    const before = openFds();
    for (const count of [0, 2]) {
      const [left, right] = MemoryTransport.pair();
      let violation: Error | null = null;
      const onClose = (_: unknown, error: Error | null) => {
        violation = error;
      };
      const worker = new Endpoint<'worker', 'main'>(left, credentials, workerSide({ onClose }), true);
      worker.start();
      const fds = Array.from({ length: count }, () => openSync('/dev/null', 'r'));
      right.send(encodeFrame(messageOf('UDP_FD'), 0, { client: 1, hello: true, data: Buffer.alloc(1) }), fds);
      await until(() => violation !== null);
      expect(violation).toMatchObject({ cause: { kind: 'descriptors' } });
    }
    expect(openFds()).toBe(before);
  });

  test('one that this process has no room for costs its message, where it may have one', async () => {
    for (const name of ['UDP_FD', 'TERMINATE'] as const) {
      const [left, right] = MemoryTransport.pair();
      const { start } = left;
      // What the socket's transport tells when the kernel dropped a descriptor.
      left.start = (events) =>
        start.call(left, { ...events, onData: (data) => events.onData(data, [], true) });
      const { log, lines } = recordingLog();
      const got: (readonly number[])[] = [];
      let violation: Error | null = null;
      const onClose = (_: unknown, error: Error | null) => {
        violation = error;
      };
      const handlers = only({
        UDP_FD: (_: unknown, { fds }: { fds: readonly number[] }) => void got.push(fds),
      });
      new Endpoint<'worker', 'main'>(left, credentials, workerSide({ log, handlers, onClose }), true).start();
      const bodies = {
        UDP_FD: { client: 1, hello: true, data: Buffer.alloc(1) },
        TERMINATE: { client: 1, how: 'drop', reason: 'error' },
      };
      right.send(encodeFrame(messageOf(name), 0, bodies[name]), []);
      await until(() => violation !== null || got.length > 0);
      if (name === 'TERMINATE') expect(violation).toMatchObject({ cause: { kind: 'descriptors' } });
      else expect([got, violation]).toEqual([[[]], null]);
      expect(lines.some(({ text }) => text.startsWith('out of descriptors'))).toBe(name === 'UDP_FD');
    }
  });

  test('a late reply with a descriptor leaks nothing', async () => {
    const before = openFds();
    let answer: (() => void) | undefined;
    const [main, worker] = joinChannels(
      mainSide({
        stateOf: () => 'INACTIVE',
        handlers: only({
          AUTH_COOKIE_REQ: async () => {
            await new Promise<void>((resolve) => (answer = resolve));
            return {
              body: { reply: 'FAILED', reason: '', session: null },
              fds: [openSync('/dev/null', 'r')],
            };
          },
          BAN_IP: () => ({ allowed: true }),
        }),
      }),
      workerSide(),
    );
    await expect(worker.call('AUTH_COOKIE_REQ', cookieRequest(1), { timeoutMs: 1 })).rejects.toThrow(
      /AUTH_COOKIE_REQ/,
    );
    await until(() => answer !== undefined);
    answer?.();
    await worker.call('BAN_IP', { client: 1, score: 1 });
    expect(openFds()).toBe(before);
    main.close();
  });
});

describe('secrets', () => {
  test('are zero after the handler has run, and the sender keeps its own', async () => {
    let kept: Uint8Array | undefined;
    const [main, worker] = joinChannels(
      mainSide({
        stateOf: () => 'INACTIVE',
        handlers: only({
          AUTH_COOKIE_REQ: async ({ cookie }) => {
            await new Promise(setImmediate);
            expect(Buffer.from(cookie)).toEqual(SID);
            kept = cookie;
            return { reply: 'FAILED', reason: '', session: null };
          },
        }),
      }),
      workerSide(),
    );
    await worker.call('AUTH_COOKIE_REQ', cookieRequest(1));
    expect(kept).toEqual(Buffer.alloc(32));
    expect(SID).toEqual(Buffer.alloc(32, 7));
    main.close();
  });
});

test('every role pair of the table can be joined', () => {
  const pairs: [Role, Role][] = [
    ['main', 'worker'],
    ['main', 'secmod'],
    ['worker', 'secmod'],
  ];
  for (const [a, b] of pairs) {
    const options = { handlers: only({}), log: silent };
    const [left, right] = joinChannels({ self: a, peer: b, ...options }, { self: b, peer: a, ...options });
    expect([left.peer, right.peer]).toEqual([b, a]);
    left.close();
  }
});
