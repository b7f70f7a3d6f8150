/** DTLS: the tunnel over UDP, its loss and its return. */
import { expect, test } from 'vitest';
import { inside, openLab } from '../support/lab.ts';
import { connect } from '../support/openconnect.ts';
import { forEachServer, startServer } from '../support/server.ts';
import { iperfServer, ping, throughput, transfer, transferServer } from '../support/traffic.ts';

forEachServer((kind) => {
  test('PSK-NEGOTIATE: ping and volume both ways, IPv4 and IPv6 inside', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server);
    expect(await client.dtls()).toMatch(/^\(DTLS1\.2\)-\(PSK\)-\(/);

    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    expect(await ping(client.host, inside.host6)).toEqual({ sent: 5, received: 5 });
    await iperfServer(lab);
    const far = await transferServer(lab);
    for (const direction of ['up', 'down'] as const) {
      expect(await throughput(client.host, direction)).toBeGreaterThan(0);
      for (const target of [inside.host4, inside.host6]) {
        await transfer(client.host, far, direction, { target });
      }
    }
    const [user] = await server.users();
    expect(user).toMatchObject({
      name: 'alice',
      remote: '10.70.0.2',
      dtlsCipher: expect.stringContaining('PSK'),
    });
  });
});
