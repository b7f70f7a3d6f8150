/** Logins of the stock client that Debian's FreeRADIUS decides about. */

import { expect, test } from 'vitest';
import { tally } from '../support/fault-tally.ts';
import { startRadius, writeRadcli } from '../support/freeradius.ts';
import { authPost, authReply, exchange } from '../support/https.ts';
import { inside, openLab, outside } from '../support/lab.ts';
import { authenticate, connect, fetchCookie } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const users = 'alice Cleartext-Password := "secret"\n  Class := "OU=staff;tech"';

test('right password: the request has what servers decide by, the group comes from Class', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users });
  const auth = [`radius[config=${writeRadcli(lab)}]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth, 'select-group': ['staff', 'tech'] } });
  await connect(lab, server, { args: ['--authgroup=tech'] });
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'alice', group: 'tech' })]);
  const [, request = ''] =
    /Received Access-Request[^\n]*\n((?:\(\d+\) {3}\S.*\n)+)/.exec(radius.process.output) ?? [];
  for (const attribute of [
    /Message-Authenticator = /,
    /User-Name = "alice"/,
    /NAS-Identifier = "lab-vpn"/,
    new RegExp(`NAS-IP-Address = ${outside.server4}`),
    new RegExp(`Calling-Station-Id = "${outside.client4(0)}"`),
    /Acct-Session-Id = "\S{28}"/,
    /Connect-Info = "/,
    /Service-Type = Authenticate-Only/,
    /NAS-Port-Type = Async/,
  ])
    expect(request).toMatch(attribute);
  expect(request.trim().split('\n')[0]).toContain('Message-Authenticator');
  expect(server.process.output).not.toContain('secret');
});

test('wrong password, unknown user, a group of others: no cookie', async () => {
  const lab = await openLab();
  await startRadius(lab, { users });
  const auth = [`radius[config=${writeRadcli(lab)}]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth, 'select-group': ['staff', 'boss'] } });
  for (const request of [
    { password: 'not it' },
    { user: 'nobody-here' },
    { args: ['--authgroup=boss'] },
    { password: 'x'.repeat(200) },
  ]) {
    const { code, stdout } = await authenticate(lab, server, request);
    expect([code === 0, stdout.trim()]).toEqual([false, '']);
  }
});

test('a challenge is a further prompt, and its State comes back', async () => {
  const lab = await openLab();
  await startRadius(lab, {
    authorize: `
      if (!&State) {
        update reply {
          &Reply-Message := "Token for %{User-Name}"
          &State := 0xa1b2c3
        }
        update control {
          &Response-Packet-Type := Access-Challenge
        }
        handled
      }
      elsif (&State == 0xa1b2c3 && &User-Password == "123456") {
        update control {
          &Auth-Type := Accept
        }
      }
      else {
        reject
      }`,
  });
  const auth = [`radius[config=${writeRadcli(lab)}]`];
  await startServer(lab, 'ocvpn', { options: { auth } });
  const answer = (text: string) => authPost('/auth', authReply(`<password>${text}</password>`));
  const { replies } = await exchange(lab, [
    authPost('/auth', authReply('<username>alice</username>')),
    answer('first factor'),
    answer('123456'),
  ]);
  expect(replies[1]?.body).toContain('Token for alice');
  expect(replies[2]?.body).toContain('<auth id="success">');
});

test('a server that is dead gives way to the next one; with none the login fails in time', async () => {
  const lab = await openLab();
  const second = await startRadius(lab, { users, port: 2812 });
  const servers = [`${inside.host4}:1812`, `${inside.host4}:2812`];
  const auth = [`radius[config=${writeRadcli(lab, { servers, lines: 'radius_deadtime 60' })}]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth } });
  expect(await fetchCookie(lab, server)).not.toBe('');
  expect(server.process.output).toContain('RADIUS server does not answer');
  // It says by Status-Server that it is there, and is asked first again.
  const first = await startRadius(lab, { users });
  await until(
    'the first server to have its place back',
    () => server.process.output.includes('RADIUS server answers again'),
    { timeoutMs: 60_000 },
  );
  expect(first.process.output).toContain('Received Status-Server');
  expect(await fetchCookie(lab, server)).not.toBe('');
  expect(first.process.output).toContain('Received Access-Request');
  await first.process.stop('SIGTERM', 3_000);
  await second.process.stop('SIGTERM', 3_000);
  expect((await authenticate(lab, server)).code).not.toBe(0);
  expect(server.process.output).toContain('no RADIUS server answered');
});

test('a server that loses packets is asked again', async () => {
  const lab = await openLab();
  await startRadius(lab, { users });
  // The first datagram of every socket is lost.
  await lab.inner.nft(`table inet loss {
    set seen { type inet_service; flags dynamic; size 1000; }
    chain in {
      type filter hook input priority 0;
      udp dport 1812 udp sport != @seen add @seen { udp sport } counter drop
    }
  }`);
  const auth = [`radius[config=${writeRadcli(lab)}]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth } });
  expect(await fetchCookie(lab, server)).not.toBe('');
  expect(await lab.inner.must(['nft', 'list', 'ruleset'])).toContain('counter packets 1');
});

test('another secret: replies are not believed and nobody gets in', async () => {
  const lab = await openLab();
  await startRadius(lab, {
    authorize: 'update control {\n&Auth-Type := Accept\n}',
    secret: 'a-different-one',
  });
  const auth = [`radius[config=${writeRadcli(lab)}]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth } });
  expect((await authenticate(lab, server)).code).not.toBe(0);
  expect(server.process.output).toContain('no RADIUS server answered');
});

test('groupconfig: addresses, routes, DNS, times and rates of the session come from the server', async () => {
  const lab = await openLab({ clients: 2 });
  await startRadius(lab, {
    users: `alice Cleartext-Password := "secret"
  Framed-IP-Address := 10.99.7.7,
  Framed-IP-Netmask := 255.255.255.0,
  Framed-IPv6-Address := fd99::77,
  Framed-Route += "192.168.55.0/24 10.99.7.1 1",
  Framed-IPv6-Route += "fd55::/48",
  MS-Primary-DNS-Server := 10.10.0.53,
  DNS-Server-IPv6-Address := fd10::53,
  Session-Timeout := 7200,
  Service-Type := Framed-User
bob Cleartext-Password := "bobs"
  Delegated-IPv6-Prefix := fd88:1::/64`,
  });
  const auth = [`radius[config=${writeRadcli(lab)},groupconfig=true]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth } });
  const client = await connect(lab, server);
  const env = await client.event('connect');
  expect(env).toMatchObject({
    INTERNAL_IP4_ADDRESS: '10.99.7.7',
    INTERNAL_IP4_DNS: expect.stringContaining('10.10.0.53'),
    CISCO_SPLIT_INC: '1',
    CISCO_SPLIT_INC_0_ADDR: '192.168.55.0',
    INTERNAL_IP6_ADDRESS: 'fd99::77',
  });
  expect(client.process.output).toMatch(/X-CSTP-Session-Timeout: 7\d{3}/);
  // A network of its own, from outside the pool, with the addresses behind the first one.
  const other = await connect(lab, server, { user: 'bob', password: 'bobs', on: 1 });
  expect((await other.event('connect')).INTERNAL_IP6_NETMASK).toBe('fd88:1::1/64');
  await other.host.ip('address add fd88:1::abcd/128 dev lo');
  await reachable(lab.inner, 'fd88:1::1');
  await reachable(lab.inner, 'fd88:1::abcd');
});

test('a server that stands still, and one that is started again, holds up logins and nothing else', async () => {
  const lab = await openLab({ clients: 3 });
  let radius = await startRadius(lab, { users });
  const auth = [`radius[config=${writeRadcli(lab, { retries: 20 })}]`];
  const server = await startServer(lab, 'ocvpn', { options: { auth } });
  await connect(lab, server);
  const logIns = () => [1, 2].map((on) => authenticate(lab, server, { on }));
  /** The tunnel that is open is served as ever. */
  const tunnelWorks = () => lab.client().must(['ping', '-c', '3', '-i', '0.2', '-W', '2', inside.host4]);
  const codes = async (logins: ReturnType<typeof logIns>) =>
    (await Promise.all(logins)).map(({ code }) => code);

  radius.process.signal('SIGSTOP');
  const slow = logIns();
  await tunnelWorks();
  radius.process.signal('SIGCONT');
  expect(await codes(slow)).toEqual([0, 0]);

  await radius.process.stop('SIGKILL');
  const waiting = logIns();
  await tunnelWorks();
  radius = await startRadius(lab, { users });
  expect(await codes(waiting)).toEqual([0, 0]);
  expect((await authenticate(lab, server, { on: 1, password: 'wrong' })).code).not.toBe(0);
  tally('RADIUS stands still, then is dead');
});
