/** The benchmark's batched client against both servers: what it measures must be a working tunnel. */
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { certificateLogin } from '../bench/identity.ts';
import { batchedCommand, buildBatchedClient, openCrowd, openTunnel } from '../bench/tunnels.ts';
import { inside, openLab } from '../support/lab.ts';
import { must } from '../support/process.ts';
import { forEachServer, startServer } from '../support/server.ts';
import { reachable, transfer, transferServer } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

beforeAll(buildBatchedClient, 300_000);

forEachServer((kind) => {
  it.each(['batched-dtls', 'batched-tls'] as const)(
    'carries the same bytes both ways: %s',
    async (tunnel) => {
      const lab = await openLab();
      const server = await startServer(lab, kind, { keys: ['ecdsa'] });
      const opened = await openTunnel(lab, server, tunnel);
      await reachable(lab.client(), inside.host4);
      const far = await transferServer(lab);
      await transfer(lab.client(), far, 'up');
      await transfer(lab.client(), far, 'down');
      const [user] = await server.users();
      expect(user?.dtlsCipher ?? '').toMatch(tunnel === 'batched-dtls' ? /AES-256-GCM|PSK/ : /^$/);
      await opened.close();
    },
  );

  it('opens and seals records past the library unless told not to', async () => {
    const lab = await openLab();
    await startServer(lab, kind, { keys: ['ecdsa'] });
    const records = async (...args: readonly string[]): Promise<string | undefined> => {
      const { command, input } = batchedCommand(...args);
      const client = lab.client().start('bench-client', command, { input });
      const [, told] = await client.waitFor(/^(\w+) records$/m);
      await client.stop('SIGINT');
      return told;
    };
    expect(await records()).toBe('own');
    // ocserv's TLS is 1.2 here.
    expect(await records('--no-dtls')).toBe(kind === 'ocvpn' ? 'own' : 'library');
    expect(await records('--library-records')).toBe('library');
    expect(await records('--library-records', '--no-dtls')).toBe('library');
  });

  // Node's OpenSSL would compress its certificate (RFC 8879) if the server offered to read that.
  it('holds several sessions from one process, by certificate, and logs them out', async () => {
    const lab = await openLab();
    const { identity, options } = certificateLogin(lab);
    const server = await startServer(lab, kind, { keys: ['ecdsa'], options });
    await expect(openCrowd(lab, { clients: 1, dtls: true }, async () => undefined)).rejects.toThrow(
      /bench-client@.* ended \(status 1\)/,
    );
    await openCrowd(lab, { clients: 3, dtls: true, identity }, async () => {
      const users = await until('three sessions', async () => {
        const found = await server.users();
        return found.length === 3 && found;
      });
      expect(new Set(users.map(({ ipv4 }) => ipv4)).size).toBe(3);
    });
    await until('all to be logged out', async () => (await server.users()).length === 0);
  });

  it('counts the answers to its echo and DPD requests', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { keys: ['ecdsa'] });
    const request = { clients: 3, dtls: true, dpd: 1, active: 2 };
    await openCrowd(lab, request, async (crowd) => {
      crowd.startTraffic();
      const enough = 20 * 512;
      await until('traffic of two sessions', async () => {
        const busy = (await server.users()).filter(({ bytesFromClient }) => bytesFromClient >= enough);
        return busy.length === 2;
      });
      const { echo, dpd, ended } = await crowd.stopTraffic();
      expect(echo.sent).toBeGreaterThanOrEqual(40);
      expect(echo.answered).toBe(echo.sent);
      expect(dpd.sent).toBeGreaterThanOrEqual(6);
      expect(dpd.answered).toBe(dpd.sent);
      expect(ended).toBe(0);
    });
  });

  it('says so when it cannot log in', async () => {
    const lab = await openLab();
    await startServer(lab, kind, { keys: ['ecdsa'] });
    const { command } = batchedCommand('--clients', '2');
    const { code, stderr } = await lab.client().run(command, { input: 'wrong\n' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/bench-client: (login refused with 401|the login did not end)/);
  });
});

it('opens no record that is forged, repeated or of old keys', async () => {
  const folder = join(import.meta.dirname, '../bench/client');
  await must(['make', '-s', '-j2', '-C', folder, `NODE=${process.execPath}`, 'check'], {
    timeoutMs: 300_000,
  });
}, 300_000);
