/** Many logins at once do not disturb a tunnel that is open. */
import { beforeAll, expect, test } from 'vitest';
import { pingTimes } from '../bench/iperf.ts';
import { quantile } from '../bench/statistics.ts';
import { batchedCommand, buildBatchedClient } from '../bench/tunnels.ts';
import { inside, openLab } from '../support/lab.ts';
import { connect } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { reachable } from '../support/traffic.ts';

const LOGINS = 200;

beforeAll(buildBatchedClient, 300_000);

test('200 password logins at once: ping through a tunnel stays smooth', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', {
    keys: ['ecdsa'],
    options: {
      'worker-clients': 64,
      'max-same-clients': 0,
      'max-clients': 0,
      'max-pending-per-address': 0,
      'max-pending': 0,
      'ipv4-network': '10.99.0.0/22',
    },
  });
  await connect(lab, server);
  await reachable(lab.client(), inside.host4);
  const { command, input } = batchedCommand('--clients', `${LOGINS}`, '--parallel', `${LOGINS}`, '--no-dtls');
  const crowd = lab.client(1).start('bench-client', command, { input });
  const [, opened = ''] = await (async () => {
    const waiting = crowd.waitFor(/^opened \d+ in ([\d.]+) s$/m, { timeoutMs: 60_000 });
    const times = await pingTimes(lab.client(), 5);
    const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
    console.log(
      `ping through the tunnel during ${LOGINS} logins: median ${p50} ms, p99 ${p99} ms, ${times.length} answers`,
    );
    expect(times.length).toBeGreaterThan(100);
    expect(p50).toBeLessThan(50);
    expect(p99).toBeLessThan(2000);
    return waiting;
  })();
  console.log(`${LOGINS} logins in ${opened} s`);
  expect((await server.users()).length).toBe(LOGINS + 1);
});
