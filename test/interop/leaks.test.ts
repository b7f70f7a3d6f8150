/** 1,000 connects leave nothing behind: descriptors, devices, addresses, tables, processes, cookies, memory. Ours only. */
import { beforeAll, expect, test } from 'vitest';
import { buildBatchedClient, openCrowd } from '../bench/tunnels.ts';
import { expectNoLeak, takeCensus } from '../support/census.ts';
import { tally } from '../support/fault-tally.ts';
import { openLab } from '../support/lab.ts';
import { startServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const MEGABYTE = 1024;
/** A thousand logins on a busy machine. */
const TIMEOUT_MS = 300_000;

beforeAll(buildBatchedClient, 300_000);

test.for([
  { kind: 'of a pool', workerClients: 64, clients: 250, rounds: 3, growthKb: 32 * MEGABYTE },
  { kind: 'isolated', workerClients: 1, clients: 10, rounds: 2, growthKb: 48 * MEGABYTE },
])(
  'connects leave nothing behind: sessions $kind',
  { timeout: TIMEOUT_MS },
  async ({ workerClients, clients, rounds, growthKb, kind }) => {
    const lab = await openLab();
    // The addresses of a /24 are fewer than the connects: one that were not given back would be missed.
    const server = await startServer(lab, 'ocvpn', {
      keys: ['ecdsa'],
      options: {
        'worker-clients': workerClients,
        'max-same-clients': 0,
        'max-clients': 0,
        'max-pending-per-address': 0,
        'restrict-user-to-routes': workerClients === 1,
      },
    });
    const round = async (size: number): Promise<void> => {
      await openCrowd(lab, { clients: size, dtls: false }, async () => {
        expect(await server.users()).toHaveLength(size);
      });
      await until('all to be gone', async () => (await server.users()).length === 0, { everyMs: 300 });
    };
    await round(clients);
    const before = await takeCensus(lab);
    for (let n = 0; n < rounds; n++) await round(clients);
    const after = await expectNoLeak(lab, before, growthKb);
    expect(server.process.output).not.toMatch(/"level":(50|60)/);
    const grown = ((after.memoryKb - before.memoryKb) / MEGABYTE).toFixed(1);
    const connects = (rounds + 1) * clients;
    tally(`${connects} connects, ${kind}: nothing left, memory ${grown} MB`, 0, connects);
  },
);
