/**
 * What main does for one login, one report, one datagram and one end takes as many steps among 600 clients as among 20.
 * Steps are counted, not time: every element that an iterator yields or an array method may visit.
 */
import { expect, it } from 'vitest';
import { type Client, UNTOLD } from '../../src/core/main/clients.js';
import { UdpDispatch } from '../../src/core/main/udp-dispatch.js';
import {
  addClient,
  clientHello,
  cookieRequest,
  dataRecord,
  FakeWorker,
  makeSessions,
  secmodSession,
  sessionConfig,
  silent,
} from './main-support.js';

type Method = (this: { length?: number; size?: number }, ...args: unknown[]) => unknown;

const ITERATORS = [new Map().values(), new Set().values(), [][Symbol.iterator]()].map(
  (one) => Object.getPrototypeOf(one) as Record<string, Method>,
);
const VISITORS = [
  'every',
  'filter',
  'find',
  'findIndex',
  'forEach',
  'includes',
  'indexOf',
  'map',
  'reduce',
  'some',
];

/** Runs `task` and counts the steps that it takes. */
async function steps(task: () => unknown): Promise<number> {
  let count = 0;
  const undo: (() => void)[] = [];
  const watch = (
    owner: object,
    name: string,
    cost: (self: { length?: number; size?: number }) => number,
  ): void => {
    const methods = owner as Record<string, Method>;
    const original = methods[name];
    if (original === undefined) return;
    methods[name] = function (...args) {
      count += cost(this);
      return original.apply(this, args);
    };
    undo.push(() => {
      methods[name] = original;
    });
  };
  for (const prototype of ITERATORS) watch(prototype, 'next', () => 1);
  for (const name of VISITORS) watch(Array.prototype, name, ({ length = 0 }) => length);
  for (const owner of [Map.prototype, Set.prototype]) watch(owner, 'forEach', ({ size = 0 }) => size);
  try {
    await task();
  } finally {
    for (const one of undo) one();
  }
  return count;
}

const report = {
  ...{ bytesIn: 10, bytesOut: 20, packetsIn: 1, packetsOut: 2 },
  drops: { malformed: 0, source: 0, replay: 0, rateLimit: 0, streamFull: 0, tunFull: 0, tooBig: 0 },
};

/** Main with so many clients, and what one more costs in each of its steps. */
async function costsAmong(population: number): Promise<Record<string, number>> {
  const parts = makeSessions();
  const { clients, sessions, secmod } = parts;
  const worker = new FakeWorker();
  const dispatch = new UdpDispatch({
    io: { connectUdp: () => 7, close: () => {} },
    clients,
    log: silent,
    nowMs: () => 0,
    allowZeroRandom: false,
  });
  const sidOf = (n: number): Uint8Array => Buffer.from(String(n).padStart(32, '0'));
  secmod.answer = ({ sid }) => {
    const n = Number(Buffer.from(sid).toString());
    const who = { safeId: `safe-${n}`, userName: `user-${n}`, ipv4Seed: n };
    return secmodSession(sid, { ...who, config: sessionConfig({ ipv4Network: '10.96.0.0/14' }) });
  };
  const addressOf = (n: number): string => `198.18.${n >> 8}.${n & 255}`;
  const logIn = async (n: number): Promise<Client> => {
    const client = addClient(clients, worker, addressOf(n));
    await sessions.open(client, cookieRequest(client.id, sidOf(n)));
    return client;
  };
  for (let n = 1; n <= population; n++) await logIn(n);
  for (const _ of sessions.reports.takeChanged());
  const n = population + 1;
  let client: Client | undefined;
  const cost: Record<string, number> = {};
  cost.login = await steps(async () => {
    client = await logIn(n);
  });
  expect(clients.sessions).toBe(n);
  const it = client as Client;
  const local = { address: '192.0.2.1', port: 443 };
  const send = (data: Buffer, address: string) =>
    dispatch.handle({ data, remote: { address, port: 5000 }, local });
  cost.report = await steps(() => {
    sessions.reports.count(it, report);
    sessions.reports.info(it, { ...UNTOLD, tlsCipher: 'a', dtlsCipher: 'b', pid: 1 });
    sessions.reports.setMtu(it, 1300);
    expect([...sessions.reports.takeChanged()]).toEqual([it]);
  });
  const hello = clientHello(it.session?.dtlsSessionId ?? sidOf(n));
  cost.hello = await steps(() => send(hello, '203.0.113.5'));
  cost.datagram = await steps(() => send(dataRecord, addressOf(n)));
  cost.unknown = await steps(() => send(dataRecord, '203.0.113.99'));
  expect(dispatch.counts).toMatchObject({ 'handed-over': 2, unknown: 1 });
  cost.end = await steps(() => sessions.close(it, 'user-disconnect', '', null));
  expect(clients.sessions).toBe(population);
  return cost;
}

it('costs the same for one client however many there are', async () => {
  const few = await costsAmong(20);
  const many = await costsAmong(600);
  expect(few.login).toBeGreaterThan(0);
  for (const [name, cost] of Object.entries(many))
    expect(cost, name).toBeLessThanOrEqual((few[name] ?? 0) + 20);
});
