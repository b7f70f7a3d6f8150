/**
 * Users come, reconnect, move bytes, leave and vanish, over and over: memory and descriptors stay flat, the log has no error,
 * and the one who stays loses nothing. A slice of it belongs to the tests; `npm run soak -- --minutes N` is the long one.
 * Ours only.
 */
import { beforeAll, expect, test } from 'vitest';
import { buildBatchedClient, openCrowd } from '../bench/tunnels.ts';
import { type Census, expectNoLeak, takeCensus } from '../support/census.ts';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { connect } from '../support/openconnect.ts';
import type { Companion } from '../support/process.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { expectNothingLost, pinging, reachable, transfer, transferServer } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const SECONDS = Number(process.env.SOAK_SECONDS ?? 20);
/** The first rounds, and the first third of the time, fill caches and pools. */
const WARM_UP = 2;
const CROWD = 10;
/** All processes together; what Node's heaps take before they collect. The longer the run, the less a leak fits in. */
const GROWTH_KB = 96 * 1024;
/** For the start, the last round and the end, beside the soak itself. */
const MARGIN_MS = 240_000;

beforeAll(buildBatchedClient, 300_000);

/** One user of the stock client: connects, moves bytes, reconnects, moves bytes, leaves in one of three ways. */
async function visit(lab: Lab, server: VpnServer, far: Companion, round: number): Promise<void> {
  const client = await connect(lab, server, {
    on: 1,
    user: 'carol',
    password: 'carols',
    args: round % 2 === 0 ? ['--no-dtls'] : [],
  });
  await transfer(client.host, far, 'up', { bytes: 500_000 });
  client.process.signal('SIGUSR2');
  await client.event('reconnect');
  await reachable(client.host, inside.host4);
  await transfer(client.host, far, 'down', { bytes: 500_000 });
  await client.end((['SIGINT', 'SIGHUP', 'SIGKILL'] as const)[round % 3] ?? 'SIGINT');
}

async function oneRound(lab: Lab, server: VpnServer, far: Companion, round: number): Promise<void> {
  await Promise.all([
    visit(lab, server, far, round),
    openCrowd(lab, { clients: CROWD, dtls: round % 2 === 0, on: 2 }, async () => {
      await until('the crowd to be there', async () => (await server.users()).length >= CROWD + 1);
    }),
  ]);
  await until('all but one to be gone', async () => (await server.users()).length === 1);
}

test('soak', { timeout: SECONDS * 1000 + MARGIN_MS }, async () => {
  const lab = await openLab({ clients: 3 });
  const server = await startServer(lab, 'ocvpn', {
    // Who vanishes is forgotten within a round.
    options: { 'max-same-clients': 0, 'cookie-timeout': 1, 'max-pending-per-address': 0 },
  });
  const staying = await connect(lab, server, { user: 'bob', password: 'b0b & <sons> "quoted" 100%' });
  const running = await pinging(staying);
  const far = await transferServer(lab);
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  let before: Census | undefined;
  let round = 0;
  while (elapsed() < SECONDS || !before) {
    if (round >= WARM_UP && elapsed() > SECONDS / 3) before ??= await takeCensus(lab);
    await oneRound(lab, server, far, round);
    round += 1;
  }
  const after = await expectNoLeak(lab, before, GROWTH_KB);
  expect(server.process.output).not.toMatch(/"level":(50|60)/);
  await expectNothingLost(running);
  expect(staying.events().map(({ reason }) => reason)).not.toContain('reconnect');
  console.log(`soak: ${round} rounds, ${round * (CROWD + 2)} connects`);
  console.log(`  before ${JSON.stringify(before)}\n  after  ${JSON.stringify(after)}`);
});
