/** The way to KDCs, with sockets on loopback that behave well, badly or not at all. */
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { VhostConfig } from '../../src/core/config/schema.js';
import { KdcRelay } from '../../src/core/secmod/kdc-relay.js';
import { until } from '../support/wait.ts';

const log = pino({ level: 'silent' });
const QUESTION = Buffer.from([0x6a, 1, 2, 3]);
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A KDC on TCP; `behave` gets each chunk that arrives. */
async function tcpKdc(behave: (socket: Socket, data: Buffer) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {
      // The relay went away.
    });
    socket.on('data', (data) => behave(socket, data));
    cleanups.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const address = server.address();
  return `tcp@127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
}

/** A KDC on UDP; what `answer` returns is sent. */
async function udpKdc(answer: (question: Buffer) => Buffer | null): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (question, { port, address }) => {
    const reply = answer(question);
    if (reply) socket.send(reply, port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  cleanups.push(() => socket.close());
  return `udp@127.0.0.1:${socket.address().port}`;
}

const frame = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(message.length);
  return Buffer.concat([head, message]);
};
const echo = (mark: number) => (socket: Socket, data: Buffer) =>
  void socket.write(frame(Buffer.from([mark, ...data.subarray(4)])));

function ask(kkdcp: string[], { path = '/kdc', realm = '', replyMs = 5_000 } = {}) {
  const relay = new KdcRelay(log, replyMs);
  cleanups.push(() => relay.close());
  const vhost = { name: 'default', kkdcp } as unknown as VhostConfig;
  return relay.ask(vhost, { vhost: 'default', path, realm, message: QUESTION });
}

describe('an answer', () => {
  test('over TCP, also in pieces', async () => {
    const whole = await tcpKdc(echo(9));
    const expected = { reply: Buffer.from([9, ...QUESTION]), reason: '' };
    expect(await ask([`/kdc LAB.TEST ${whole}`])).toEqual(expected);
    const pieces = await tcpKdc((socket, data) => {
      const bytes = frame(Buffer.from([9, ...data.subarray(4)]));
      const next = (at: number): void => {
        if (at < bytes.length) socket.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
      };
      next(0);
    });
    expect(await ask([`/kdc LAB.TEST ${pieces}`])).toEqual(expected);
  });

  test('over UDP, also when the first datagram was lost', async () => {
    const good = await udpKdc((question) => Buffer.from([9, ...question]));
    expect(await ask([`/kdc LAB.TEST ${good}`])).toEqual({
      reply: Buffer.from([9, ...QUESTION]),
      reason: '',
    });
    let asked = 0;
    const lossy = await udpKdc(() => (asked++ === 0 ? null : Buffer.from([8])));
    expect(await ask([`/kdc LAB.TEST ${lossy}`])).toMatchObject({ reply: Buffer.from([8]) });
  });

  test('of several realms on a path comes from the one that was named, in any case', async () => {
    const routes = [`/kdc ONE.TEST ${await tcpKdc(echo(1))}`, `/kdc TWO.TEST ${await tcpKdc(echo(2))}`];
    expect((await ask(routes, { realm: 'two.test' })).reply?.[0]).toBe(2);
    expect((await ask(routes, { realm: 'ONE.TEST' })).reply?.[0]).toBe(1);
    expect(await ask(routes, { realm: 'three.test' })).toEqual({
      reply: null,
      reason: 'no KDC for this realm',
    });
    expect(await ask(routes)).toMatchObject({ reply: null });
    expect((await ask(routes.slice(0, 1), { realm: 'other' })).reply?.[0]).toBe(1);
    expect(await ask(routes, { path: '/other', realm: 'ONE.TEST' })).toMatchObject({ reply: null });
  });
});

describe('no answer', () => {
  const none = { reply: null, reason: 'the KDC does not answer' };

  test('from one that is dead', async () => {
    expect(await ask(['/kdc R tcp@127.0.0.1:1'])).toEqual(none);
    expect(await ask(['/kdc R udp@127.0.0.1:1'])).toEqual(none);
    expect(await ask(['/kdc R tcp@no-such-host.invalid:88'])).toEqual(none);
  });

  test('from one that is silent, closes or says too much', async () => {
    expect(await ask([`/kdc R ${await tcpKdc(() => {})}`], { replyMs: 100 })).toEqual(none);
    expect(await ask([`/kdc R ${await udpKdc(() => null)}`], { replyMs: 100 })).toEqual(none);
    expect(await ask([`/kdc R ${await tcpKdc((socket) => void socket.end('ab'))}`])).toEqual(none);
    const large = await tcpKdc((socket) => void socket.write(Buffer.from([0x7f, 0, 0, 0])));
    expect(await ask([`/kdc R ${large}`])).toEqual(none);
  });

  test('more than 128 questions at once are refused, and those under way end with the server', async () => {
    let arrived = 0;
    const silent = await tcpKdc(() => arrived++);
    const relay = new KdcRelay(log);
    const vhost = { name: 'default', kkdcp: [`/kdc R ${silent}`] } as unknown as VhostConfig;
    const request = { vhost: 'default', path: '/kdc', realm: '', message: QUESTION };
    const pending = Array.from({ length: 128 }, () => relay.ask(vhost, request));
    expect(await relay.ask(vhost, request)).toEqual({ reply: null, reason: 'too many requests' });
    await until('all questions to arrive', () => arrived === 128);
    relay.close();
    expect(await Promise.all(pending)).toEqual(Array(128).fill(none));
  });
});
