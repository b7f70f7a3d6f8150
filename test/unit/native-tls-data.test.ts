import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { pair, serving } from './native-tls.clients.js';
import { ecServer } from './native-tls.fixture.js';
import { type Behaviour, echo } from './native-tls.support.js';

const { pki, signer, context, signing } = ecServer();

const digest = (chunks: Iterable<Uint8Array>) => {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
};

describe('data', () => {
  const payload = randomBytes(8 << 20);

  test('a large write meets back pressure, drains and arrives whole', async () => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      const piece = 48 * 1024;
      let offset = 0;
      let refused = 0;
      let most = 0;
      const write = async () => {
        while (offset < payload.length) {
          const drains = accepted.drainCount;
          const more = accepted.connection.write(payload.subarray(offset, offset + piece));
          offset += piece;
          if (more) continue;
          refused++;
          most = Math.max(most, offset);
          while (accepted.drainCount === drains) await new Promise(setImmediate);
        }
        accepted.connection.end();
      };
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      const ended = once(socket, 'end');
      await Promise.all([write(), ended]);
      expect(digest(chunks)).toBe(digest([payload]));
      expect(refused).toBeGreaterThan(0);
      expect(accepted.drainCount).toBe(refused);
      expect(await accepted.closed()).toMatchObject({ error: null });
    });
  });

  test('one write of 8 MiB is split into records and arrives whole', async () => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      expect(accepted.connection.write(payload)).toBe(false);
      accepted.connection.end();
      expect(digest(await socket.toArray())).toBe(digest([payload]));
    });
  });

  test('a paused connection reads nothing; a resumed one gets everything', async () => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      accepted.connection.pause();
      socket.end(payload);
      // The client stalls for want of reading: nothing but its own buffers and the kernel's are filled.
      while (socket.writableLength === 0) await new Promise(setImmediate);
      for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
      expect(accepted.received).toHaveLength(0);
      accepted.connection.resume();
      await accepted.ended();
      expect(digest(accepted.received)).toBe(digest([payload]));
    });
  });

  test('pause inside onData holds back the rest', async () => {
    const behaviour: Behaviour = { ...signing(), onData: ({ connection }) => connection.pause() };
    await serving(context, behaviour, async (server) => {
      const { socket, accepted } = await pair(pki, server);
      socket.end(payload.subarray(0, 1 << 20));
      let seen = 0;
      while (digest(accepted.received) !== digest([payload.subarray(0, 1 << 20)])) {
        await new Promise(setImmediate);
        if (accepted.received.length === seen) continue;
        expect(accepted.received.length).toBe(seen + 1);
        seen = accepted.received.length;
        accepted.connection.resume();
      }
    });
  });

  test('what is written before the handshake is complete is sent after it', async () => {
    const behaviour: Behaviour = {
      onSign: (accepted, call) => {
        accepted.connection.write(Buffer.from('early'));
        echo(signer).onSign(accepted, call);
      },
    };
    await serving(context, behaviour, async (server) => {
      const { socket } = await pair(pki, server);
      expect(String((await once(socket, 'data'))[0])).toBe('early');
    });
  });
});

describe('ends', () => {
  test('end: close_notify and FIN, onClose without error, once', async () => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      accepted.connection.write(Buffer.from('last words'));
      accepted.connection.end();
      accepted.connection.end();
      expect(String(Buffer.concat(await socket.toArray()))).toBe('last words');
      const { error, bytesRead } = await accepted.closed();
      expect(error).toBeNull();
      expect(bytesRead).toBeGreaterThan(200);
      accepted.connection.destroy();
      expect(accepted.connection.write(Buffer.from('too late'))).toBe(false);
      expect(() => accepted.connection.info()).toThrow('closed');
      await new Promise(setImmediate);
      expect(accepted.closeCount).toBe(1);
    });
  });

  test('the peer that leaves is told by onEnd; the other direction stays open', async () => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      socket.resume();
      socket.end('bye');
      await accepted.ended();
      expect(String(Buffer.concat(accepted.received))).toBe('bye');
      expect(accepted.closeCount).toBe(0);
      accepted.connection.end();
      expect(await accepted.closed()).toMatchObject({ error: null });
    });
  });

  test.each([49, 40])('endWithAlert sends what was written, then alert %i', async (alert) => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      const failed = once(socket, 'error');
      const data = once(socket, 'data');
      accepted.connection.write(Buffer.from('401'));
      accepted.connection.endWithAlert(alert);
      expect(String((await data)[0])).toBe('401');
      const [error] = (await failed) as [Error & { code: string }];
      expect(error.code).toBe(
        alert === 49 ? 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED' : 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
      );
      await accepted.closed();
    });
  });

  test('destroy inside a handler is the last that is heard', async () => {
    const behaviour: Behaviour = { ...signing(), onData: ({ connection }) => connection.destroy() };
    await serving(context, behaviour, async (server) => {
      const { socket, accepted } = await pair(pki, server);
      socket.on('error', () => {}); // a reset, as it must be
      socket.write('a'.repeat(100_000));
      expect(await accepted.closed()).toMatchObject({ error: null });
      expect(accepted.received).toHaveLength(1);
    });
  });

  test('a reset by the peer is an error with its errno', async () => {
    await serving(context, signing(), async (server) => {
      const next = server.next();
      const tcp = connectTcp(server.port, '127.0.0.1');
      const socket = connect({ socket: tcp, ca: pki.read('ca.crt'), servername: 'localhost' });
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      const accepted = await next;
      await accepted.secure();
      tcp.resetAndDestroy();
      expect((await accepted.closed()).error?.code).toBe('ECONNRESET');
    });
  });

  test('a peer that does not read cannot hold an ending connection', async () => {
    await serving(context, signing(), async (server) => {
      const { socket, accepted } = await pair(pki, server);
      socket.on('error', () => {});
      socket.pause();
      accepted.connection.write(randomBytes(16 << 20));
      accepted.connection.end();
      expect((await accepted.closed()).error?.code).toBe('ETIMEDOUT');
      socket.destroy();
    });
  });
});
