/** The data plane's binding, end to end with a TLS client of node's; the packet loop has tests in native/test. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { receiveFrom } from '../../src/core/native/receive.js';
import type { TunnelOptions } from '../../src/core/native/tunnel-types.js';
import type { Dataplane, DataplaneEvent } from '../../src/core/native/types.js';
import { tunnelOptions } from '../support/tunnel-options.ts';
import { ecServer } from './native-tls.fixture.js';
import { type Accepted, native, TestServer } from './native-tls.support.js';

const RESPONSE = Buffer.from('HTTP/1.1 200 CONNECTED\r\n\r\n');
const NOTHING = Buffer.alloc(0);

const { pki, signer, context, signing } = ecServer();
let server: TestServer;

beforeAll(() => {
  server = new TestServer(context, signing());
});

afterAll(() => server.close());

/** Events of one data plane, each handed to who waits for its type. */
class Events {
  readonly all: DataplaneEvent[] = [];
  #wake = Promise.withResolvers<void>();
  readonly add = (event: DataplaneEvent): void => {
    this.all.push(event);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  };
  async next<T extends DataplaneEvent['type']>(type: T): Promise<Extract<DataplaneEvent, { type: T }>> {
    for (;;) {
      const at = this.all.findIndex((event) => event.type === type);
      if (at >= 0) return this.all.splice(at, 1)[0] as Extract<DataplaneEvent, { type: T }>;
      await this.#wake.promise;
    }
  }
}

let events: Events;
beforeEach(() => {
  events = new Events();
});

async function withDataplane(use: (dataplane: Dataplane) => Promise<void>): Promise<void> {
  const dataplane = native.createDataplane(events.add, false);
  try {
    await use(dataplane);
  } finally {
    dataplane.close();
  }
}

/** A tun that is a socket: one packet at a time keeps its borders. */
function options(changes: Partial<TunnelOptions> = {}): { tun: number; options: TunnelOptions } {
  const [tun, tunFd] = native.io.socketpair();
  const addresses = {
    clientIpv4: '10.0.0.2',
    clientIpv6: { address: 'fd00::2', prefix: 128 },
    localIpv4: '10.0.0.1',
    localIpv6: 'fd00::1',
  };
  return { tun, options: tunnelOptions(tunFd, { ...addresses, ...changes }) };
}

async function dial(
  tls: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
): Promise<{ socket: TLSSocket; accepted: Accepted }> {
  const next = server.next();
  const socket = connect({
    port: server.port,
    host: '127.0.0.1',
    ca: pki.read('ca.crt'),
    servername: 'localhost',
    maxVersion: tls,
  });
  socket.on('error', () => {}); // a dropped tunnel may arrive as a reset
  await once(socket, 'secureConnect');
  const accepted = await next;
  await accepted.secure();
  // A moved connection has no close that the server could wait for.
  server.accepted.splice(server.accepted.indexOf(accepted), 1);
  return { socket, accepted };
}

async function read(socket: TLSSocket): Promise<Buffer> {
  const [data] = (await once(socket, 'data')) as [Buffer];
  return data;
}

function cstp(type: number, payload: Uint8Array = NOTHING): Buffer {
  return Buffer.concat([
    Buffer.from([0x53, 0x54, 0x46, 1, payload.length >> 8, payload.length & 255, type, 0]),
    payload,
  ]);
}

/** IPv4, protocol 253 (experiments), 10.0.0.2 -> 10.0.0.9. */
function packet(source = 2): Buffer {
  const bytes = Buffer.alloc(40);
  bytes.set([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 253, 0, 0, 10, 0, 0, source, 10, 0, 0, 9]);
  return bytes;
}

async function readTun(fd: number): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const poller = native.io.createPoller(fd, () => resolve());
  poller.set(1);
  await promise;
  poller.close();
  return receiveFrom(native.io, fd, 2000)?.data ?? NOTHING;
}

test('a tunnel from open to the client’s DISCONNECT', async () => {
  await withDataplane(async (dataplane) => {
    const { socket, accepted } = await dial();
    const { tun, options: tunnel } = options();
    const id = dataplane.open(accepted.connection, RESPONSE, cstp(0, packet()), tunnel);
    expect(await read(socket)).toEqual(RESPONSE);
    expect(await readTun(tun)).toEqual(packet());
    const before = dataplane.activity(id);
    expect(dataplane.activity(id)).toBe(before);
    native.io.sendMessage(tun, packet(), []);
    expect(await read(socket)).toEqual(cstp(0, packet()));
    expect(dataplane.activity(id)).not.toBe(before);
    socket.write(cstp(0, packet(3)));
    socket.write(cstp(3, Buffer.from('probe')));
    expect(await read(socket)).toEqual(cstp(4, Buffer.from('probe')));
    expect(dataplane.counters(id)).toMatchObject({
      rxPackets: 1,
      rxBytes: 40,
      rxTlsPackets: 1,
      txPackets: 1,
      txTlsPackets: 1,
      dropsSource: 1,
      dtlsActive: 0,
    });
    socket.write(cstp(5, Buffer.from([0xb0])));
    const closed = await events.next('closed');
    expect(closed).toMatchObject({ id, reason: 'user-disconnect', counters: { rxPackets: 1, txBytes: 40 } });
    expect(() => dataplane.counters(id)).toThrow(/no tunnel/);
    expect(() => dataplane.activity(id)).toThrow(/no tunnel/);
    expect(accepted.closeCount).toBe(0);
    native.io.close(tun);
  });
});

test('the connection stays JavaScript’s when the options are refused', async () => {
  await withDataplane(async (dataplane) => {
    const { socket, accepted } = await dial();
    const bad: Partial<TunnelOptions>[] = [
      { dataMtu: 10 },
      { dpdSec: -1 },
      { clientIpv4: 'fd00::1' },
      { clientIpv6: { address: 'fd00::1', prefix: 129 } },
      {
        dtls: {
          mode: 'legacy',
          ciphers: 'AES256-GCM-SHA384',
          masterSecret: Buffer.alloc(47),
          sessionId: Buffer.alloc(32),
        },
      },
      { dtls: { mode: 'other' as 'psk', ciphers: '' } },
    ];
    for (const change of bad) {
      const { tun, options: tunnel } = options(change);
      expect(() => dataplane.open(accepted.connection, RESPONSE, NOTHING, tunnel)).toThrow();
      native.io.close(tun);
      native.io.close(tunnel.tunFd);
    }
    accepted.connection.write(Buffer.from('still here'));
    expect((await read(socket)).toString()).toBe('still here');
    socket.destroy();
  });
});

test('terminate: disconnect says so, drop does not', async () => {
  await withDataplane(async (dataplane) => {
    for (const how of ['disconnect', 'drop'] as const) {
      const { socket, accepted } = await dial();
      const { tun, options: tunnel } = options();
      const id = dataplane.open(accepted.connection, RESPONSE, NOTHING, tunnel);
      await read(socket);
      const received: Buffer[] = [];
      socket.on('data', (data) => received.push(data));
      const gone = once(socket, 'close');
      dataplane.terminate(id, how, 'session-timeout');
      expect(await events.next('closed')).toMatchObject({ id, reason: 'session-timeout' });
      await gone;
      expect(Buffer.concat(received)).toEqual(how === 'disconnect' ? cstp(5) : NOTHING);
      native.io.close(tun);
    }
    expect(() => dataplane.terminate(1, 'drop', 'no such reason' as 'error')).toThrow(/reason/);
  });
});

test('a TLS 1.2 rekey asks JavaScript for its signature', async () => {
  await withDataplane(async (dataplane) => {
    for (const refuse of [false, true]) {
      const { socket, accepted } = await dial('TLSv1.2');
      const { tun, options: tunnel } = options({ rekeySec: 1, keepaliveSec: 1 });
      const id = dataplane.open(accepted.connection, RESPONSE, NOTHING, tunnel);
      await read(socket);
      expect(await read(socket)).toEqual(cstp(7)); // a second has passed: more than half of rekeySec
      const renegotiated = new Promise<Error | null>((resolve) => socket.renegotiate({}, resolve));
      const sign = await events.next('sign');
      expect(sign).toMatchObject({ id, keyIndex: 0, scheme: 0x0403 });
      dataplane.completeSign(
        id,
        sign.requestId,
        refuse ? null : await signer.sign(sign.keyIndex, sign.scheme, sign.data),
      );
      if (refuse) {
        expect(await events.next('closed')).toMatchObject({ id, reason: 'error' });
      } else {
        expect(await renegotiated).toBeNull();
        socket.write(cstp(3, Buffer.from('after')));
        expect(await read(socket)).toEqual(cstp(4, Buffer.from('after')));
        socket.destroy();
        expect(await events.next('closed')).toMatchObject({ id });
      }
      native.io.close(tun);
    }
  });
});

test('close ends all tunnels, tells so, and may be repeated', async () => {
  const dataplane = native.createDataplane(events.add, false);
  const { socket, accepted } = await dial();
  const { tun, options: tunnel } = options();
  const id = dataplane.open(accepted.connection, RESPONSE, NOTHING, tunnel);
  await read(socket);
  const gone = once(socket, 'close');
  dataplane.close();
  dataplane.close();
  expect(events.all).toMatchObject([{ type: 'closed', id, reason: 'server-disconnect' }]);
  await gone;
  expect(() => dataplane.counters(id)).toThrow();
  dataplane.terminate(id, 'drop', 'error');
  native.io.close(tun);
});

test('the end of an environment joins the thread', async () => {
  const addon = fileURLToPath(new URL('../../native/build/Release/ocvpn.node', import.meta.url));
  for (const end of ['process.exit(0)', 'dataplane.close()']) {
    const worker = new Worker(
      `const dataplane = require(${JSON.stringify(addon)}).createDataplane(() => {}, false); ${end}`,
      { eval: true },
    );
    expect(await once(worker, 'exit')).toEqual([0]);
  }
});
