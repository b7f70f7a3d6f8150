/** What a tunnel carries and what the client is told about it. */
import { expect, test } from 'vitest';
import { setClientLinkMtu } from '../support/faults.ts';
import { inside, openLab } from '../support/lab.ts';
import { connect, startClient } from '../support/openconnect.ts';
import { forEachServer, startServer } from '../support/server.ts';
import { iperfServer, ping, throughput, transfer, transferServer } from '../support/traffic.ts';

forEachServer((kind) => {
  test('TLS only: ping and volume both ways, IPv4 and IPv6 inside', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server, { args: ['--no-dtls'] });
    expect(client.process.output).toMatch(/with SSL connected and DTLS disabled/);
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    expect(await ping(client.host, inside.host6)).toEqual({ sent: 5, received: 5 });
    await iperfServer(lab);
    const far = await transferServer(lab);
    for (const direction of ['up', 'down'] as const) {
      expect(await throughput(client.host, direction)).toBeGreaterThan(0);
      for (const target of [inside.host4, inside.host6])
        await transfer(client.host, far, direction, { target });
    }
    expect(await server.users()).toEqual([expect.objectContaining({ name: 'alice', dtlsCipher: '' })]);
  });

  test('IPv6 outside: TLS and DTLS', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server, { family: 6 });
    expect(await client.dtls()).toContain('PSK');
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    expect(await ping(client.host, inside.host6)).toEqual({ sent: 5, received: 5 });
    const far = await transferServer(lab);
    await transfer(client.host, far, 'up');
    await transfer(client.host, far, 'down');
    expect(await server.users()).toEqual([expect.objectContaining({ remote: 'fd70::2' })]);
  });

  test.for([
    ['1.2', 'rsa'],
    ['1.2', 'ecdsa'],
    ['1.3', 'rsa'],
    ['1.3', 'ecdsa'],
  ] as const)('TLS %s with an %s key: TLS and DTLS', async ([version, key]) => {
    const lab = await openLab();
    // cisco-client-compat would take TLS 1.3 away.
    const compat = kind === 'ocserv' ? { 'cisco-client-compat': false } : {};
    const server = await startServer(lab, kind, { keys: [key], options: compat });
    const args = [`--gnutls-priority=NORMAL:-VERS-ALL:+VERS-TLS${version}:+VERS-DTLS1.2`];
    const client = await connect(lab, server, { args });
    expect(client.process.output).toContain(`with ciphersuite (TLS${version})`);
    await client.dtls();
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    expect(await server.users()).toEqual([
      expect.objectContaining({ tlsCipher: expect.stringContaining(`(TLS${version})`) }),
    ]);
  });

  test('both keys at once: each client gets the certificate that it can use', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { keys: ['rsa', 'ecdsa'] });
    for (const [sign, name] of [
      ['+SIGN-RSA-SHA256:+SIGN-RSA-PSS-RSAE-SHA256', 'RSA'],
      ['+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SECP256R1-SHA256', 'ECDSA'],
    ]) {
      const args = [`--gnutls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.2:-SIGN-ALL:${sign}`, '--no-dtls'];
      const client = await connect(lab, server, { args });
      expect(client.process.output).toMatch(new RegExp(`ciphersuite \\(TLS1\\.2\\)-\\([^)]*\\)-\\(${name}-`));
      await client.end('SIGINT');
    }
  });

  test('addresses, routes, DNS and banner arrive at the script', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, {
      options: {
        route: ['10.10.0.0/16', '192.168.44.0/255.255.255.0', 'fd10::/32'],
        'no-route': ['10.10.5.0/24'],
        dns: ['10.10.0.53', '10.10.0.54'],
        nbns: ['10.10.0.55'],
        'split-dns': ['corp.example.com', 'lab.example.com'],
        'default-domain': 'example.com',
        banner: 'Welcome',
      },
    });
    const client = await connect(lab, server, { args: ['--no-dtls'] });
    const env = await client.event('connect');
    expect(env).toMatchObject({
      INTERNAL_IP4_ADDRESS: expect.stringMatching(/^10\.99\.0\.\d+$/),
      INTERNAL_IP4_NETMASK: '255.255.255.0',
      INTERNAL_IP6_NETMASK: expect.stringMatching(/^fd99::.*\/128$/),
      INTERNAL_IP4_DNS: '10.10.0.53 10.10.0.54',
      INTERNAL_IP4_NBNS: '10.10.0.55',
      // openconnect puts each further entry of these lists before the earlier ones.
      CISCO_SPLIT_DNS: 'lab.example.com,corp.example.com',
      CISCO_DEF_DOMAIN: 'example.com',
      CISCO_BANNER: 'Welcome',
      CISCO_SPLIT_INC: '2',
      CISCO_SPLIT_INC_0_ADDR: '192.168.44.0',
      CISCO_SPLIT_INC_0_MASKLEN: '24',
      CISCO_SPLIT_INC_1_ADDR: '10.10.0.0',
      CISCO_SPLIT_INC_1_MASK: '255.255.0.0',
      CISCO_SPLIT_EXC: '1',
      CISCO_SPLIT_EXC_0_ADDR: '10.10.5.0',
      CISCO_SPLIT_EXC_0_MASKLEN: '24',
      CISCO_IPV6_SPLIT_INC: '1',
      CISCO_IPV6_SPLIT_INC_0_ADDR: 'fd10::',
      CISCO_IPV6_SPLIT_INC_0_MASKLEN: '32',
    });
    const [user] = await server.users();
    expect(user?.ipv4).toBe(env.INTERNAL_IP4_ADDRESS);
    expect(`${user?.ipv6}/128`).toBe(env.INTERNAL_IP6_NETMASK);
  });

  test('no routes: everything goes through the tunnel', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind, { options: { route: [] } });
    const client = await connect(lab, server);
    expect((await client.event('connect')).CISCO_SPLIT_INC).toBeUndefined();
    expect(await client.host.must(['ip', 'route', 'get', '203.0.113.1'])).toContain(`dev ${client.device}`);
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });

  test('a client that wants no IPv6 gets none', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server, { args: ['--disable-ipv6'] });
    expect((await client.event('connect')).INTERNAL_IP6_NETMASK).toBeUndefined();
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });

  test('on a machine with IPv6 turned off, clients get IPv4', async () => {
    const lab = await openLab();
    await lab.server.sysctl('net.ipv6.conf.default.disable_ipv6=1');
    const server = await startServer(lab, kind);
    const client = await connect(lab, server);
    expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
    if (kind === 'ocserv') return;
    expect((await client.event('connect')).INTERNAL_IP6_NETMASK).toBeUndefined();
    expect(server.process.output).toMatch(/^vpn: notice: IPv6 is turned off on this machine; clients get/m);
  });

  test.for([
    ['DTLS', []],
    ['TLS', ['--no-dtls']],
  ] as const)('a small path MTU (%s): whole packets of the tunnel MTU pass both ways', async ([, args]) => {
    const lab = await openLab();
    await setClientLinkMtu(lab, 1400);
    const server = await startServer(lab, kind);
    const client = await connect(lab, server, { args });
    const env = await client.event('connect');
    const mtu = Number(env.INTERNAL_IP4_MTU);
    expect(mtu).toBeGreaterThanOrEqual(1280);
    expect(mtu).toBeLessThanOrEqual(1400 - 28);
    const whole = { size: mtu - 28, whole: true };
    expect(await ping(client.host, inside.host4, whole)).toEqual({ sent: 5, received: 5 });
    expect(await ping(lab.inner, env.INTERNAL_IP4_ADDRESS ?? '', whole)).toEqual({ sent: 5, received: 5 });
    const far = await transferServer(lab);
    await transfer(client.host, far, 'up');
    await transfer(client.host, far, 'down');
  });

  test('a packet too big for the tunnel: the sender behind the server is told', async () => {
    const lab = await openLab();
    const server = await startServer(lab, kind);
    const client = await connect(lab, server);
    const address = (await client.event('connect')).INTERNAL_IP4_ADDRESS ?? '';
    const { stdout } = await lab.inner.run([
      'ping',
      '-n',
      '-c',
      '2',
      '-W',
      '2',
      '-M',
      'do',
      '-s',
      '1472',
      address,
    ]);
    expect(stdout).toMatch(/Frag needed and DF set \(mtu = 1\d\d\d\)|message too long/i);
    expect(await ping(lab.inner, address, { size: 1472 })).toEqual({ sent: 5, received: 5 });
  });

  test('two clients of one user: an address each, both carry traffic', async () => {
    const lab = await openLab({ clients: 2 });
    const server = await startServer(lab, kind);
    const [first, second] = [await connect(lab, server, { on: 0 }), await connect(lab, server, { on: 1 })];
    const users = await server.users();
    expect(new Set(users.map((user) => user.ipv4)).size).toBe(2);
    for (const { host } of [first, second]) {
      expect(await ping(host, inside.host4)).toEqual({ sent: 5, received: 5 });
      expect(await ping(host, inside.host6)).toEqual({ sent: 5, received: 5 });
    }
  });

  test('max-same-clients: the second is refused, a reconnect of the first is not', async () => {
    const lab = await openLab({ clients: 2 });
    const server = await startServer(lab, kind, { options: { 'max-same-clients': 1 } });
    const first = await connect(lab, server);
    const second = startClient(lab, server, { on: 1 });
    expect((await second.process.ended()).code).not.toBe(0);
    const from = first.process.output.length;
    first.process.signal('SIGUSR2');
    await first.event('reconnect');
    // Packets that reach the client while it looks for the MTU of its new DTLS connection are dropped by it.
    await first.process.waitFor(/MTU after detection|Detected MTU/, { from });
    expect(await ping(first.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  });
});
