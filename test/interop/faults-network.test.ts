/** What networks and clients do to a server: nobody but the one concerned notices. Ours only. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readHistory } from '../../src/core/history/read.js';
import { tally } from '../support/fault-tally.ts';
import { blockUdp, cutOff, mend, relayUdp } from '../support/faults.ts';
import { inside, openLab, outside } from '../support/lab.ts';
import { dataFolder, statusOf } from '../support/ocvpn.ts';
import { connect, fetchCookie, startClient } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { expectNothingLost, ping, pinging, reachable, transfer, transferServer } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const carol = { on: 1, user: 'carol', password: 'carols' } as const;
const halfOpenPeer = join(import.meta.dirname, '../support/half-open-peer.ts');
const cutPeer = join(import.meta.dirname, '../support/cut-peer.ts');
const ROOM = 128;

test('UDP reordered, duplicated, corrupted, blocked midway: the same bytes arrive, nobody else notices', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', { options: { dpd: 3, 'switch-to-tcp-timeout': 4 } });
  const running = await pinging(await connect(lab, server));
  const relay = await relayUdp(lab, 1);
  const victim = await connect(lab, server, carol);
  await victim.dtls();
  const far = await transferServer(lab);
  for (const fault of ['reordered', 'duplicated', 'corrupted']) {
    relay.signal('SIGUSR2');
    await relay.waitFor(new RegExp(`now ${fault}`));
    await transfer(victim.host, far, 'up', { bytes: 300_000 });
    await transfer(victim.host, far, 'down', { bytes: 300_000 });
    tally(`UDP ${fault}`);
  }
  relay.signal('SIGUSR2');
  await blockUdp(lab, 1);
  await reachable(victim.host, inside.host4, 40_000);
  await transfer(victim.host, far, 'down', { bytes: 300_000 });
  const from = victim.process.output.length;
  await mend(lab);
  await victim.dtls({ from, timeoutMs: 90_000 });
  expect(await ping(victim.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  tally('UDP blocked midway');
  await expectNothingLost(running);
});

test('a client vanishes: its session ends, no other', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', { options: { dpd: 2 } });
  const running = await pinging(await connect(lab, server));
  const only = async (): Promise<boolean> => {
    const users = await server.users();
    return users.length === 1 && users[0]?.name === 'alice';
  };
  const vanished = await connect(lab, server, carol);
  await cutOff(lab, 1);
  await until('the session of the one who vanished to end', only, { timeoutMs: 60_000 });
  await vanished.process.stop('SIGKILL');
  await mend(lab);
  tally('a client vanishes', 1);
  await expectNothingLost(running);
});

test('a tunnel that is cut is lost, not left: its cookie stays good', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn');
  const running = await pinging(await connect(lab, server));
  const cookie = await fetchCookie(lab, server, carol);
  const value = /webvpn=([^;\s]+)/.exec(cookie)?.[1] ?? cookie;
  const cutting = lab.client(1).start('cutting', [process.execPath, cutPeer, outside.server4, value]);
  expect(await cutting.ended(60_000)).toEqual({ code: 0, signal: null });
  const names = cutting.stdout.trim().split('\n');
  expect(names).toHaveLength(6);
  // Who says goodbye is gone for good.
  const client = await connect(lab, server, { on: 1, cookie });
  expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  await client.end('SIGINT');
  const tunnels = () => readHistory(`${dataFolder(lab)}/history.db`, { limit: 10, user: 'carol' });
  await until('the history to have the last one', () => tunnels()[0]?.reason === 'user-disconnect');
  const reasons = tunnels().map(({ reason }) => reason);
  expect(reasons).toEqual([
    'user-disconnect',
    'error',
    'temporary-disconnect',
    'error',
    'error',
    'error',
    'error',
  ]);
  const late = startClient(lab, server, { on: 1, cookie });
  expect((await late.process.ended()).code).not.toBe(0);
  expect((await server.users()).map(({ name }) => name)).toEqual(['alice']);
  await expectNothingLost(running);
  for (const name of names) tally(`a tunnel cut: ${name}`, 1);
});

test('10,000 half-open connections: bounded, and who comes meanwhile gets in', async () => {
  const lab = await openLab({ clients: 3 });
  const server = await startServer(lab, 'ocvpn', { options: { 'max-pending': ROOM, 'worker-clients': 64 } });
  const running = await pinging(await connect(lab, server));
  const { pid } = await statusOf(lab);
  const held = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const memoryKb = (): number =>
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  const [fdsBefore, memoryBefore] = [held(), memoryKb()];
  await lab.client(1).ip(...Array.from({ length: 200 }, (_, n) => `addr add 10.70.1.${n + 10}/24 dev wan0`));
  const command = [process.execPath, halfOpenPeer, outside.server4, '10000', '10', '209'];
  const crowd = lab.client(1).start('half-open', command);
  let most = 0;
  await until(
    '10,000 connections to have been made',
    async () => {
      most = Math.max(most, (await statusOf(lab)).connections);
      return /made 10000 /.test(crowd.output);
    },
    { timeoutMs: 120_000 },
  );
  // Those that are told to go are counted until their worker has let go of them.
  expect(most).toBeLessThan(8 * ROOM);
  expect(held() - fdsBefore).toBeLessThan(2 * ROOM);
  expect(memoryKb() - memoryBefore).toBeLessThan(64 * 1024);
  const late = await connect(lab, server, { ...carol, on: 2 });
  expect(await ping(late.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  await crowd.stop('SIGKILL');
  await until('the crowd to be gone', async () => (await statusOf(lab)).connections === 2);
  await until('its descriptors, too', () => held() <= fdsBefore + 8);
  await expectNothingLost(running);
  expect(server.process.output).not.toMatch(/"level":(50|60)/);
  tally('10,000 half-open connections');
});
