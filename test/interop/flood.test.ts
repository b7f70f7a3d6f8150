/**
 * Connections and logins of 200 addresses at once: who is connected notices nothing, who comes meanwhile gets in, and the
 * crowd costs a bounded number of processes. Ours only.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inside, openLab, outside } from '../support/lab.ts';
import { statusOf } from '../support/ocvpn.ts';
import { connect, startClient } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { expectNothingLost, ping, pinging } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const peer = join(import.meta.dirname, '../support/flood-peer.ts');
const MAX_PENDING = 12;

test('a flood of connections and logins leaves connected users alone', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', {
    options: { 'max-pending': MAX_PENDING, 'auth-timeout': 20 },
  });
  const client = await connect(lab, server);
  const running = await pinging(client);
  await lab.client(1).ip(...Array.from({ length: 200 }, (_, n) => `addr add 10.70.1.${n + 10}/24 dev wan0`));
  const flood = lab.client(1).start('flood', [process.execPath, peer, outside.server4, '10', '209', '3']);
  await flood.waitFor(/"handshake":[1-9]/);

  let most = 0;
  await until(
    'a hundred connections to have been turned away or ended for others',
    async () => {
      const { connections } = await statusOf(lab);
      most = Math.max(most, connections);
      const refused = server.process.output.match(/max-pending reached|too many connections wait/g);
      return (refused?.length ?? 0) >= 100;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
  // The user's own connection is none of those that wait.
  expect(most).toBeLessThanOrEqual(MAX_PENDING + 1);
  await expectNothingLost(running);

  flood.signal('SIGKILL');
  await flood.ended();
  const late = startClient(lab, server, { on: 1, user: 'carol', password: 'carols' });
  await late.connected();
  expect(await ping(late.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  await expectNothingLost(running);
  expect(client.events().map(({ reason }) => reason)).not.toContain('reconnect');
  await until('the crowd to be gone', async () => (await statusOf(lab)).connections === 2);
});
