/** Options that act in the worker and on the wire, with the stock client. */
import { expect, test } from 'vitest';
import { blackHoleUdpAbove } from '../support/faults.ts';
import { authReply, exchange, timeReplies } from '../support/https.ts';
import { inside, openLab } from '../support/lab.ts';
import { authenticate, connect, fetchCookie } from '../support/openconnect.ts';
import { forEachServer, startServer } from '../support/server.ts';
import { expectSameTime } from '../support/timing.ts';
import { ping, reachable, transfer, transferServer } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

/** Large enough to be compressed; ping repeats its pattern. */
const LARGE = { size: 1000 };
const ok = { sent: 5, received: 5 };

forEachServer((kind) => {
  test.for([
    ['oc-lz4', 'lz4:lzs'],
    ['lzs', 'lzs:lz4'],
  ] as const)('compression: %s on both channels', async ([name, priority]) => {
    const lab = await openLab();
    const options = { compression: true, 'compression-algo-priority': priority };
    const server = await startServer(lab, kind, { options });
    for (const args of [[], ['--no-dtls']]) {
      const client = await connect(lab, server, { args: ['--dump-http-traffic', ...args] });
      if (args.length === 0) await client.dtls();
      expect(client.process.output).toContain(`X-CSTP-Content-Encoding: ${name}`);
      expect(await ping(client.host, inside.host4, LARGE)).toEqual(ok);
      await client.end('SIGINT');
    }
  });

  test('without compression none is offered', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server, { args: ['--dump-http-traffic'] });
    expect(client.process.output).not.toContain('Content-Encoding: ');
    expect(await ping(client.host, inside.host4, LARGE)).toEqual(ok);
  });

  test('compression that the client refuses is not used', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { compression: true } });
    const client = await connect(lab, server, { args: ['--dump-http-traffic', '--no-deflate'] });
    expect(client.process.output).not.toContain('X-CSTP-Content-Encoding');
    expect(await ping(client.host, inside.host4, LARGE)).toEqual(ok);
  });

  test('custom-header and proxy-url reach the client with the names of user and group', async () => {
    const lab = await openLab();
    const options = {
      'custom-header': ['X-CSTP-Who: %{U}/%{G}'],
      'proxy-url': 'http://proxy.example/%{U}.pac',
      'select-group': ['staff'],
      'tunnel-all-dns': true,
      'client-bypass-protocol': true,
      'listen-host-is-dyndns': true,
    };
    const server = await startServer(lab, kind, { options });
    const user = { user: 'carol', password: 'carols', args: ['--authgroup=staff', '--dump-http-traffic'] };
    const client = await connect(lab, server, user);
    for (const line of [
      'X-CSTP-Who: carol/staff',
      'X-CSTP-Tunnel-All-DNS: true',
      'X-CSTP-Client-Bypass-Protocol: true',
      'X-CSTP-DynDNS: true',
    ]) {
      expect(client.process.output).toContain(line);
    }
    expect(client.process.output).toMatch(
      /X-CSTP-MSIE-Proxy-P[aA][cC]-URL: http:\/\/proxy.example\/carol.pac/,
    );
  });

  test('banner after the login, pre-login-banner before it', async () => {
    const lab = await openLab();
    const options = { banner: 'Welcome & "hello"', 'pre-login-banner': 'Authorised <use> only' };
    const server = await startServer(lab, kind, { options });
    const { stderr, stdout } = await authenticate(lab, server);
    expect(stderr + stdout).toContain('Authorised <use> only');
    const client = await connect(lab, server);
    expect(client.process.output).toContain('Welcome & "hello"');
  });

  test('try-mtu-discovery: the tunnel MTU follows a path that loses large datagrams', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'try-mtu-discovery': true, dpd: 30 } });
    await blackHoleUdpAbove(lab, 1380);
    const client = await connect(lab, server);
    await client.dtls();
    // 20 of IP, 8 of UDP, 37 of DTLS, the type.
    const mtu = async () => (await server.users())[0]?.mtu ?? 0;
    await until('the MTU to fit', async () => (await mtu()) <= 1380 - 66, { timeoutMs: 40_000 });
    await reachable(lab.inner, (await client.event('connect')).INTERNAL_IP4_ADDRESS ?? '');
  });

  // One direction for each lab: what a limited sender has queued would still be on its way in the next run.
  test.for([
    ['rx-data-per-sec', 'DTLS', 'up', []],
    ['tx-data-per-sec', 'DTLS', 'down', []],
    ['rx-data-per-sec', 'TLS', 'up', ['--no-dtls']],
    ['tx-data-per-sec', 'TLS', 'down', ['--no-dtls']],
  ] as const)('%s over %s', async ([option, , way, args]) => {
    const lab = await openLab();
    const limit = 500_000;
    const server = await startServer(lab, kind, { options: { [option]: limit } });
    const client = await connect(lab, server, { args });
    const far = await transferServer(lab);
    const bytes = 4 * limit;
    const started = performance.now();
    await transfer(client.host, far, way, { bytes });
    const perSec = bytes / ((performance.now() - started) / 1000);
    expect(perSec).toBeLessThan(limit * 1.15);
    // Slowed down, not strangled: sockets that drop what is over the limit cost TCP a part of it.
    expect(perSec).toBeGreaterThan(limit * 0.4);
  });

  test.for([
    ['TLS 1.2', 'NORMAL:-VERS-TLS1.3', 'ssl', 'ssl'],
    ['a new tunnel', 'NORMAL', 'new-tunnel', 'new-tunnel'],
  ] as const)('rekey over %s: the tunnel lives on', async ([, priority, method, advertised]) => {
    const lab = await openLab();
    const options = { 'tls-priorities': priority, 'rekey-method': method, 'rekey-time': 40 };
    const server = await startServer(lab, kind, { options });
    const client = await connect(lab, server, { args: ['--dump-http-traffic'] });
    expect(client.process.output).toContain(`X-CSTP-Rekey-Method: ${advertised}`);
    await client.process.waitFor(/CSTP rekey due/, { timeoutMs: 90_000 });
    if (method === 'new-tunnel') await client.event('reconnect', 1, 30_000);
    await reachable(client.host, inside.host4, 30_000);
    expect(await server.users()).toHaveLength(1);
    expect(client.process.exit).toBeUndefined();
  });

  test('rekey-time 0: no rekey is asked for', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'rekey-time': 0 } });
    const client = await connect(lab, server, { args: ['--dump-http-traffic'] });
    expect(client.process.output).toContain('X-CSTP-Rekey-Method: none');
    expect(client.process.output).not.toContain('Rekey-Time');
  });

  test('net-priority: datagrams carry the TOS byte', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'net-priority': 0x48 } });
    const client = await connect(lab, server);
    await client.dtls();
    const filter = 'src host 10.80.0.2 and udp port 443 and ip[1] == 0x48';
    const dump = client.host.start('tcpdump', ['tcpdump', '-i', 'wan0', '-n', '-l', '-c', '3', filter]);
    await dump.waitFor(/listening on/);
    await ping(client.host, inside.host4);
    expect((await dump.ended()).code).toBe(0);
  });
});

// ocserv 1.1.6 has none of these.
forEachServer((kind) => {
  test.skipIf(kind === 'ocserv')('camouflage: the client needs the secret in its URL', async () => {
    const lab = await openLab();
    const options = { camouflage: true, camouflage_secret: 'open-sesame', camouflage_realm: 'Home' };
    const server = await startServer(lab, kind, { options });
    const client = await connect(lab, server, { path: '?open-sesame' });
    expect(await ping(client.host, inside.host4)).toEqual(ok);
    await client.end('SIGINT');
    expect((await authenticate(lab, server, { path: '?open' })).stdout.trim()).toBe('');
    const { replies } = await exchange(lab, [{ method: 'GET', path: '/' }]);
    expect(replies[0]?.status).toBe('HTTP/1.1 401 Unauthorized');
    // The cookie of one connection opens the tunnel on another, without the secret.
    const cookie = await fetchCookie(lab, server, { path: '?open-sesame' });
    expect(await ping((await connect(lab, server, { cookie })).host, inside.host4)).toEqual(ok);
  });

  test.skipIf(kind === 'ocserv')(
    'camouflage: bytes and times of refusals tell a stranger nothing',
    async () => {
      const lab = await openLab();
      const options = { camouflage: true, camouflage_secret: 'open-sesame', 'worker-clients': 64 };
      await startServer(lab, kind, { options });
      const cookie = `Cookie: webvpn=${Buffer.alloc(32, 7).toString('base64')}`;
      const xml = authReply('<username>alice</username><password>secret</password>');
      // What any web server does not have, and what is there for those who know the secret.
      const pairs = [
        ['GET /nothing', 'GET /auth'],
        ['GET /nothing', 'GET /', cookie],
        ['GET /?wrong', 'GET /?open-sesamm'],
        ['POST /nothing', 'POST /auth'],
        ['CONNECT www.example:443', 'CONNECT /CSCOSSLC/tunnel', cookie],
      ] as const;
      const request = (line: string, header = ''): string => {
        const body = line.startsWith('POST') ? xml : '';
        const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
        return `${line} HTTP/1.1\r\nHost: h\r\n${length}${header === '' ? '' : `${header}\r\n`}\r\n${body}`;
      };
      const requests = pairs.flatMap(([plain, ours, header]) => [request(plain), request(ours, header)]);
      const timed = await timeReplies(lab, requests);
      for (const [index, [plain, ours]] of pairs.entries()) {
        const [expected, found] = timed.slice(2 * index);
        if (!expected || !found) throw new Error('a reply is missing');
        expect(found.replies).toEqual(expected.replies);
        expect(found.replies).toEqual([expect.stringMatching(/^HTTP\/1\.1 40[45] /)]);
        expectSameTime(expected.times, found.times, `${plain} and ${ours}`);
      }
    },
  );

  test.skipIf(kind === 'ocserv')('select-group-by-url: the path is the group', async () => {
    const lab = await openLab();
    const options = { 'select-group': ['staff', 'tech'], 'select-group-by-url': true };
    const server = await startServer(lab, kind, { options });
    await connect(lab, server, { user: 'carol', password: 'carols', path: 'tech' });
    expect(await server.users()).toEqual([expect.objectContaining({ name: 'carol', group: 'tech' })]);
    // Not one of bob's groups.
    const password = 'b0b & <sons> "quoted" 100%';
    expect((await authenticate(lab, server, { user: 'bob', password, path: 'tech' })).stdout.trim()).toBe('');
  });

  test('auto-select-group: the groups of the password file are offered', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { 'auto-select-group': true } });
    const { stderr, stdout } = await authenticate(lab, server, { args: ['--authgroup=staff'] });
    expect(stderr + stdout).toMatch(/<option value="staff">staff<\/option>/);
    expect(stderr + stdout).toMatch(/<option value="tech">tech<\/option>/);
  });
});
