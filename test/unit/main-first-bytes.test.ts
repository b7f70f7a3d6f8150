/** Connections of silent clients wait in main and nowhere else; real TCP connections. */
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FirstBytes, type FirstBytesOutcome } from '../../src/core/main/first-bytes.js';
import { native } from '../../src/core/native/index.js';
import { receiveFrom } from '../../src/core/native/receive.js';
import { silent } from './main-support.js';

const { io } = native;
const PORT = 4471;
let listener: number;
let clients: Socket[];
let fds: number[];

beforeEach(() => {
  listener = io.listenTcp('127.0.0.1', PORT, 16);
  clients = [];
  fds = [];
});
afterEach(() => {
  vi.useRealTimers();
  for (const client of clients) client.destroy();
  for (const fd of [...fds, listener]) io.close(fd);
});

async function accepted(firstWords = '') {
  const client = connect(PORT, '127.0.0.1');
  clients.push(client);
  if (firstWords !== '') client.write(firstWords);
  const found = await vi.waitUntil(() => io.accept(listener));
  fds.push(found.fd);
  return { client, connection: found };
}

function waitFor(firstBytes: FirstBytes, connection: Awaited<ReturnType<typeof accepted>>['connection']) {
  const outcomes: FirstBytesOutcome[] = [];
  firstBytes.wait(connection, (outcome) => outcomes.push(outcome));
  return outcomes;
}

test('a client that speaks goes on, with its bytes untouched', async () => {
  const firstBytes = new FirstBytes({ io, log: silent, limitSec: 60 });
  const { client, connection } = await accepted();
  const outcomes = waitFor(firstBytes, connection);
  expect([outcomes, firstBytes.size, firstBytes.of('127.0.0.1'), firstBytes.of('127.0.0.2')]).toEqual([
    [],
    1,
    1,
    0,
  ]);
  client.write('hello');
  await vi.waitUntil(() => outcomes.length > 0);
  expect([outcomes, firstBytes.size, firstBytes.of('127.0.0.1')]).toEqual([['bytes'], 0, 0]);
  expect(receiveFrom(io, connection.fd, 100)?.data.toString()).toBe('hello');
});

test('one that has spoken already does not wait', async () => {
  const firstBytes = new FirstBytes({ io, log: silent, limitSec: 60 });
  const { connection } = await accepted('hello');
  await vi.waitUntil(() => io.hasBytes(connection.fd));
  expect(waitFor(firstBytes, connection)).toEqual(['bytes']);
});

test.each(['end', 'resetAndDestroy'] as const)('one that closes (%s) is a look and no more', async (how) => {
  const firstBytes = new FirstBytes({ io, log: silent, limitSec: 60 });
  const { client, connection } = await accepted();
  const outcomes = waitFor(firstBytes, connection);
  client[how]();
  await vi.waitUntil(() => outcomes.length > 0);
  expect([outcomes, firstBytes.size]).toEqual([['end'], 0]);
});

test('one that says nothing is given up, sooner with a short auth-timeout', async () => {
  const silentOnes = [await accepted(), await accepted()];
  vi.useFakeTimers();
  const [short, long] = [4, 240].map((limitSec) => new FirstBytes({ io, log: silent, limitSec }));
  const outcomes = silentOnes.map(({ connection }, index) => {
    const room = index === 0 ? short : long;
    return room ? waitFor(room, connection) : [];
  });
  vi.advanceTimersByTime(4000);
  expect(outcomes).toEqual([['silent'], []]);
  vi.advanceTimersByTime(11_000);
  expect(outcomes).toEqual([['silent'], ['silent']]);
});

test('at the end of the server all are given up', async () => {
  const firstBytes = new FirstBytes({ io, log: silent, limitSec: 60 });
  const outcomes = waitFor(firstBytes, (await accepted()).connection);
  firstBytes.close();
  expect([outcomes, firstBytes.size]).toEqual([['silent'], 0]);
});

test('a further one than the room holds takes the place of the oldest', () => {
  const poller = { set: () => {}, close: vi.fn(), ref: () => {}, unref: () => {} };
  const fake = { hasBytes: () => null, createPoller: () => poller };
  const firstBytes = new FirstBytes({ io: fake, log: silent, limitSec: 60 });
  const outcomes: string[] = [];
  for (let i = 0; i <= 1024; i++) {
    const remote = { address: `10.0.${i >> 8}.${i & 255}`, port: 1 };
    firstBytes.wait({ fd: i, remote, local: remote }, (outcome) =>
      outcomes.push(`${remote.address} ${outcome}`),
    );
  }
  expect(outcomes).toEqual(['10.0.0.0 silent']);
  expect([firstBytes.size, firstBytes.of('10.0.0.0')]).toEqual([1024, 0]);
  firstBytes.close();
  expect(poller.close).toHaveBeenCalledTimes(1025);
});
