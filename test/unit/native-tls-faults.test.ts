import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { dial, pair, serving } from './native-tls.clients.js';
import { ecServer } from './native-tls.fixture.js';
import { type Behaviour, contextOptions, echo, TestServer } from './native-tls.support.js';

const { pki, signer, context, signing } = ecServer();

describe('bad peers', () => {
  /** Sends bytes over plain TCP and gives the server's verdict. */
  async function raw(server: TestServer, bytes: Uint8Array | null) {
    const next = server.next();
    const socket = connectTcp(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.end(bytes ?? new Uint8Array());
    const accepted = await next;
    return { accepted, ...(await accepted.closed()) };
  }

  test('a connection that says nothing is a health probe', async () => {
    await serving(context, signing(), async (server) => {
      expect(await raw(server, null)).toMatchObject({ error: null, bytesRead: 0 });
    });
  });

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /HTTP_REQUEST/],
    ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), /^ERR_TLS_/],
    ['zeros', Buffer.alloc(70_000), /^ERR_TLS_/],
    ['noise', createHash('sha512').update('noise').digest(), /^ERR_TLS_/],
    ['a record that is too long', Buffer.from('160301ffff', 'hex'), /^ERR_TLS_/],
    ['an empty ClientHello', Buffer.from('160301000401000000', 'hex'), /^ERR_TLS_/],
    ['half a ClientHello', Buffer.from('1603010200010001fc0303', 'hex'), /^ERR_TLS_PEER_CLOSED$/],
    ['an application data record', Buffer.from('1703030001ff', 'hex'), /^ERR_TLS_/],
  ])('%s', async (_, bytes, code) => {
    await serving(context, signing(), async (server) => {
      const { accepted, error, bytesRead } = await raw(server, bytes);
      expect((error as Error & { code: string }).code).toMatch(code);
      expect(bytesRead).toBeGreaterThan(0);
      expect(accepted.signs).toHaveLength(0);
      expect(accepted.closeCount).toBe(1);
    });
  });

  test('a ClientHello cut at every length never succeeds and never hangs', async () => {
    const hello = await recordClientHello();
    await serving(context, signing(), async (server) => {
      for (let length = 1; length < hello.length; length += 97) {
        const { error } = await raw(server, hello.subarray(0, length));
        expect((error as Error & { code: string }).code).toBe('ERR_TLS_PEER_CLOSED');
      }
    });
  });

  test('a corrupted record after the handshake is answered by an alert and closes', async () => {
    await serving(context, signing(), async (server) => {
      const next = server.next();
      const tcp = connectTcp(server.port, '127.0.0.1');
      const socket = connect({ socket: tcp, ca: pki.read('ca.crt'), servername: 'localhost' });
      await once(socket, 'secureConnect');
      const accepted = await next;
      await accepted.secure();
      const failed = once(socket, 'error');
      tcp.write(Buffer.from(`1703030020${'ab'.repeat(32)}`, 'hex'));
      expect(((await failed)[0] as Error & { code: string }).code).toMatch(/ALERT_BAD_RECORD_MAC/);
      expect((await accepted.closed()).error?.code).toMatch(/^ERR_TLS_.*BAD_RECORD_MAC/);
    });
  });

  async function recordClientHello(): Promise<Buffer> {
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address() as { port: number };
    const arrived = once(listener, 'connection');
    const socket = dial(pki, address.port);
    socket.on('error', () => {});
    const [peer] = await arrived;
    const [hello] = await once(peer, 'data');
    socket.destroy();
    peer.destroy();
    listener.close();
    return hello;
  }
});

describe('while a signature is pending', () => {
  test('the peer may leave', async () => {
    await serving(context, { onSign: () => {} }, async (server) => {
      const next = server.next();
      const socket = dial(pki, server.port);
      socket.on('error', () => {});
      const accepted = await next;
      const call = await accepted.signed();
      socket.destroy();
      expect((await accepted.closed()).error?.code).toMatch(/^(ERR_TLS_PEER_CLOSED|ECONNRESET)$/);
      const late = await signer.sign(0, call.scheme, call.data);
      accepted.connection.completeSign(call.requestId, late);
      expect(accepted.closeCount).toBe(1);
    });
  });

  test.each(['destroy', 'end'] as const)('we may leave by %s', async (how) => {
    await serving(context, { onSign: (accepted) => accepted.connection[how]() }, async (server) => {
      const next = server.next();
      const socket = dial(pki, server.port);
      socket.on('error', () => {});
      const accepted = await next;
      expect(await accepted.closed()).toMatchObject({ error: null });
      socket.destroy();
    });
  });

  test('more input than there is room for waits in the kernel', async () => {
    await serving(context, { onSign: () => {} }, async (server) => {
      const next = server.next();
      const tcp = connectTcp(server.port, '127.0.0.1');
      const socket = connect({ socket: tcp, ca: pki.read('ca.crt'), servername: 'localhost' });
      socket.on('error', () => {});
      const accepted = await next;
      const call = await accepted.signed();
      tcp.write(Buffer.alloc(300_000, 0x17));
      for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
      accepted.connection.completeSign(call.requestId, await signer.sign(0, call.scheme, call.data));
      expect((await accepted.closed()).error?.code).toMatch(/^ERR_TLS_|ECONNRESET/);
      socket.destroy();
    });
  });
});

describe('lifetime', () => {
  const openDescriptors = () => readdirSync('/proc/self/fd').length;

  test('closed connections leave no descriptor and no object behind', async () => {
    const server = new TestServer(context, echo(signer));
    const before = openDescriptors();
    const references: WeakRef<object>[] = [];
    for (let round = 0; round < 20; round++) {
      const { socket, accepted } = await pair(pki, server);
      references.push(new WeakRef(accepted.connection));
      socket.resume();
      socket.end();
      await accepted.closed();
      server.accepted.pop();
    }
    expect(openDescriptors()).toBeLessThanOrEqual(before);
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    for (let round = 0; round < 20; round++) {
      await new Promise(setImmediate);
      gc();
    }
    const alive = references.filter((reference) => reference.deref() !== undefined).length;
    expect(alive).toBeLessThan(references.length / 2);
    await server.close();
  });

  test('an exception in a handler is uncaught, not lost, and does not break the connection', async () => {
    const thrown = Promise.withResolvers<Error>();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', thrown.resolve);
    try {
      const behaviour: Behaviour = {
        ...signing(),
        onData: ({ received, connection }) => {
          if (received.length === 1) throw new Error('in onData');
          connection.write(Buffer.from('still here'));
        },
      };
      await serving(context, behaviour, async (server) => {
        const { socket } = await pair(pki, server);
        socket.write('one');
        expect((await thrown.promise).message).toBe('in onData');
        socket.write('two');
        expect(String((await once(socket, 'data'))[0])).toBe('still here');
      });
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  test('a worker thread may be terminated in the middle of handshakes and transfers', async () => {
    const before = openDescriptors();
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       const native = require(workerData.addon);
       const context = native.createTlsContext(workerData.options);
       const none = () => {};
       for (let i = 0; i < 4; i++) {
         const [ours, theirs] = native.io.socketpair();
         native.acceptTls(context, ours, { onSign: none, onSecure: none, onData: none, onEnd: none, onDrain: none, onClose: none });
         native.io.sendMessage(theirs, workerData.hello, []);
         native.io.close(theirs);
       }
       const [ours, theirs] = native.io.socketpair();
       native.acceptTls(context, ours, { onSign: () => parentPort.postMessage('signing'), onSecure: none, onData: none, onEnd: none, onDrain: none, onClose: none });
       native.io.sendMessage(theirs, workerData.hello, []);`,
      {
        eval: true,
        workerData: {
          addon: fileURLToPath(new URL('../../native/build/Release/ocvpn.node', import.meta.url)),
          options: contextOptions([pki.read('ec.crt')]),
          hello: plainHello(),
        },
      },
    );
    expect((await once(worker, 'message'))[0]).toBe('signing');
    await worker.terminate();
    // The worker's own end of the last pair is the only descriptor that nobody owned.
    expect(openDescriptors()).toBeLessThanOrEqual(before + 1);
  });

  /** A ClientHello of TLS 1.2 (RFC 5246 7.4.1.2) that leads to a signature by an EC key. */
  function plainHello(): Buffer {
    const extensions = [
      '000a00060004001d0017', // supported_groups: x25519, secp256r1
      '000b00020100', // ec_point_formats: uncompressed
      '000d000400020403', // signature_algorithms: ecdsa_secp256r1_sha256
      '00170000', // extended_master_secret
      'ff01000100', // renegotiation_info
    ].join('');
    const prefixed = (bytes: number, hex: string) =>
      (hex.length / 2).toString(16).padStart(bytes * 2, '0') + hex;
    const body = `0303${'11'.repeat(32)}00${prefixed(2, 'c02bc02c')}0100${prefixed(2, extensions)}`;
    return Buffer.from(`160301${prefixed(2, `01${prefixed(3, body)}`)}`, 'hex');
  }
});
