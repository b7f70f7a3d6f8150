/**
 * Timers of the server. ocserv looks at most of them only every 30 s, so the bounds are wide: what counts is that the
 * end comes, for the right reason.
 */
import { expect, test } from 'vitest';
import { cutOff } from '../support/faults.ts';
import { exchange } from '../support/https.ts';
import { inside, openLab } from '../support/lab.ts';
import { connect, fetchCookie, startClient } from '../support/openconnect.ts';
import { forEachServer, startServer } from '../support/server.ts';
import { iperfServer, ping } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const LONG_MS = 100_000;

forEachServer((kind) => {
  test('idle-timeout: a tunnel without data ends, one with data stays', async () => {
    const lab = await openLab({ clients: 2 });
    const server = await startServer(lab, kind, { options: { 'idle-timeout': 8 } });
    const idle = await connect(lab, server, { on: 0 });
    const busy = await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
    await iperfServer(lab);
    busy.host.start('chatter', ['iperf3', '-c', inside.host4, '-u', '-b', '8k', '-l', '100', '-t', '120']);
    await idle.process.ended(LONG_MS);
    expect(idle.process.output).toMatch(/server disconnect|Session terminated/i);
    expect(busy.process.exit).toBeUndefined();
    expect((await server.users()).map((user) => user.name)).toEqual(['carol']);
  });

  test('session-timeout: the session ends in spite of traffic, and its cookie with it', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'session-timeout': 10 } });
    const cookie = await fetchCookie(lab, server);
    const client = await connect(lab, server, { cookie });
    const end = client.process.ended(LONG_MS);
    while (!client.process.exit) await ping(client.host, inside.host4, { count: 10 });
    await end;
    expect(await server.users()).toEqual([]);
    expect((await startClient(lab, server, { cookie }).process.ended()).code).not.toBe(0);
  });

  test('auth-timeout: a connection that never logs in is closed', async () => {
    const lab = await openLab();
    await startServer(lab, kind, { options: { 'auth-timeout': 4 } });
    const { closed } = await exchange(lab, [], LONG_MS);
    expect(closed).not.toBe('still open');
  });

  test('cookie-timeout: a cookie that was not used in time is refused', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'cookie-timeout': 2 } });
    const cookie = await fetchCookie(lab, server);
    await until(
      'the cookie to be refused',
      async () => {
        const client = startClient(lab, server, { cookie });
        const result = await Promise.race([
          client.process.ended(),
          client.connected().then(() => 'connected'),
        ]);
        if (result !== 'connected') return true;
        // Each use starts its life anew.
        await client.end('SIGHUP');
        return false;
      },
      { timeoutMs: LONG_MS, everyMs: 20_000 },
    );
  });

  test.for([
    ['DTLS', []],
    ['TLS', ['--no-dtls']],
  ] as const)(
    'dpd (%s): the session of a client that vanished is ended, its cookie is not',
    async ([, args]) => {
      const lab = await openLab({ clients: 2 });
      const server = await startServer(lab, kind, { options: { dpd: 3 } });
      const cookie = await fetchCookie(lab, server);
      const client = await connect(lab, server, { cookie, args });
      await cutOff(lab);
      client.process.signal('SIGSTOP');
      await until('the session to end', async () => (await server.users()).length === 0, {
        timeoutMs: LONG_MS,
        everyMs: 500,
      });
      const again = await connect(lab, server, { cookie, on: 1 });
      expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    },
  );

  test('dpd: a client that is only silent stays', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { dpd: 2 } });
    const client = await connect(lab, server);
    await client.dtls();
    // Longer than three times dpd; the count of pings is the clock.
    await ping(lab.client(), '10.70.0.1', { count: 10, interval: 1 });
    expect(client.process.exit).toBeUndefined();
    expect(client.events().map((event) => event.reason)).not.toContain('reconnect');
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });
});
