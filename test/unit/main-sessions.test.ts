import { describe, expect, it, vi } from 'vitest';
import { noDrops } from '../../src/core/main/clients.js';
import {
  addClient,
  cookieRequest,
  FakeWorker,
  makeSessions,
  SID,
  secmodSession,
  sessionConfig,
} from './main-support.js';

type Opened = Awaited<ReturnType<ReturnType<typeof makeSessions>['sessions']['open']>>;
const bodyOf = (reply: Opened) => ('fds' in reply ? reply.body : reply);
const OTHER_SID = SID.map((byte) => byte + 1);

describe('AUTH_COOKIE_REQ', () => {
  it('opens a tunnel: lease, configured device, descriptor in the reply', async () => {
    const { sessions, clients, devices, secmod } = makeSessions();
    const client = addClient(clients);
    const reply = await sessions.open(client, cookieRequest(client.id));
    expect(reply).toMatchObject({ fds: [101] });
    expect(bodyOf(reply)).toMatchObject({
      reply: 'OK',
      session: {
        vname: 'vpns1',
        ipv4: '10.8.0.77',
        ipv4Local: '10.8.0.1',
        ipv4Netmask: '255.255.255.0',
        udpPort: 443,
      },
    });
    expect(devices.configured).toMatchObject([
      {
        ifindex: 1,
        mtu: 1500,
        up: true,
        ipv4: { local: '10.8.0.1', peer: '10.8.0.77' },
        ipv6: { prefix: 128 },
      },
    ]);
    expect(client.state).toBe('COMPLETED');
    expect(clients.bySid(SID)).toBe(client);
    expect(secmod.addresses).toMatchObject([{ ipv4: '10.8.0.77' }]);
    expect(devices.closedFds).toEqual([]);
  });

  it('gives a new random DTLS id to each connection', async () => {
    const { sessions, clients } = makeSessions();
    const ids = [];
    for (const sid of [SID, OTHER_SID]) {
      const client = addClient(clients);
      ids.push(bodyOf(await sessions.open(client, cookieRequest(client.id, sid))).session?.dtlsSessionId);
    }
    expect(ids[0]).not.toEqual(ids[1]);
  });

  it('refuses what secmod refuses, and FAILED is final', async () => {
    const { sessions, clients, secmod, devices } = makeSessions();
    secmod.answer = () => null;
    const client = addClient(clients);
    const reply = bodyOf(await sessions.open(client, cookieRequest(client.id)));
    expect(reply).toEqual({ reply: 'FAILED', reason: 'no such session', session: null });
    expect(client.state).toBe('FAILED');
    expect(devices.configured).toEqual([]);
    await expect(sessions.open(client, cookieRequest(client.id))).rejects.toThrow('cookie in FAILED');
  });

  it('refuses when secmod does not answer', async () => {
    const { sessions, clients, secmod } = makeSessions();
    secmod.openSession = () => Promise.reject(new Error('gone'));
    const client = addClient(clients);
    expect(bodyOf(await sessions.open(client, cookieRequest(client.id))).reply).toBe('FAILED');
    expect(client.state).toBe('FAILED');
  });

  it('binds the cookie to the address of the login with deny-roaming', async () => {
    const { sessions, clients, secmod } = makeSessions();
    secmod.answer = ({ sid }) => secmodSession(sid, { config: sessionConfig({ denyRoaming: true }) });
    const stranger = addClient(clients, new FakeWorker(), '203.0.113.9');
    expect(bodyOf(await sessions.open(stranger, cookieRequest(stranger.id))).reason).toContain('roaming');
    expect(secmod.closed).toHaveLength(1);
    const owner = addClient(clients, new FakeWorker(), '198.51.100.7');
    expect(bodyOf(await sessions.open(owner, cookieRequest(owner.id))).reply).toBe('OK');
  });

  it('counts the sessions of a user for max-same-clients, the one that is taken over not', async () => {
    const { sessions, clients, secmod } = makeSessions();
    secmod.answer = ({ sid }) => secmodSession(sid, { config: sessionConfig({ maxSameClients: 1 }) });
    const first = addClient(clients);
    expect(bodyOf(await sessions.open(first, cookieRequest(first.id))).reply).toBe('OK');
    const second = addClient(clients);
    const refused = bodyOf(await sessions.open(second, cookieRequest(second.id, OTHER_SID)));
    expect(refused.reason).toContain('max-same-clients');
    const again = addClient(clients);
    expect(bodyOf(await sessions.open(again, cookieRequest(again.id))).reply).toBe('OK');
  });

  it('refuses when the pool is full and gives everything back', async () => {
    const { sessions, clients, secmod, devices } = makeSessions();
    secmod.answer = ({ sid }) =>
      secmodSession(sid, { config: sessionConfig({ ipv4Network: '10.8.0.0/30', ipv6Network: '' }) });
    const first = addClient(clients);
    await sessions.open(first, cookieRequest(first.id));
    const second = addClient(clients);
    const reply = bodyOf(await sessions.open(second, cookieRequest(second.id, OTHER_SID)));
    expect(reply.reason).toContain('no address is free');
    expect(devices.closedFds).toEqual([102]);
    expect(secmod.closed).toHaveLength(1);
  });

  it('closes the descriptor and frees the lease when the device cannot be configured', async () => {
    const { sessions, clients, devices, leases, secmod } = makeSessions();
    devices.failConfigure = true;
    const client = addClient(clients);
    const reply = bodyOf(await sessions.open(client, cookieRequest(client.id)));
    expect(reply.reply).toBe('FAILED');
    expect(devices.closedFds).toEqual([101]);
    expect(leases.size).toBe(0);
    expect(secmod.closed).toMatchObject([{ discReason: 'error' }]);
  });

  it('tells secmod when the client went away while it was asked', async () => {
    const { sessions, clients, secmod, leases, devices } = makeSessions();
    const client = addClient(clients);
    const reply = sessions.open(client, cookieRequest(client.id));
    sessions.close(client, 'error', 'gone', null);
    expect(bodyOf(await reply).reply).toBe('FAILED');
    expect(secmod.closed).toHaveLength(1);
    expect(leases.size).toBe(0);
    expect(devices.configured).toEqual([]);
    expect(clients.sessions).toBe(0);
  });
});

describe('the same cookie on a new connection', () => {
  it('takes address and session, drops the older connection and takes its device down', async () => {
    const { sessions, clients, devices, secmod, leases } = makeSessions();
    const worker = new FakeWorker();
    const older = addClient(clients, worker);
    const before = bodyOf(await sessions.open(older, cookieRequest(older.id)));
    const newer = addClient(clients);
    const after = bodyOf(await sessions.open(newer, cookieRequest(newer.id)));
    expect(after.session).toMatchObject({ ipv4: before.session?.ipv4, ipv6: before.session?.ipv6 });
    expect(worker.terminated).toEqual([{ client: older.id, how: 'drop', reason: 'unspecified' }]);
    expect(devices.configured.map(({ ifindex, up }) => [ifindex, up])).toEqual([
      [1, true],
      [1, false],
      [2, true],
    ]);
    expect(clients.bySid(SID)).toBe(newer);
    sessions.close(older, 'unspecified', '', null);
    expect(clients.bySid(SID)).toBe(newer);
    expect(leases.get(newer.id)?.ipv4?.address).toBe('10.8.0.77');
    expect(secmod.closed).toMatchObject([{ discReason: 'unspecified', serverDisconnected: false }]);
    expect(devices.configured.filter(({ ifindex, up }) => ifindex === 2 && !up)).toEqual([]);
  });

  it('is refused for another user', async () => {
    const { sessions, clients, secmod } = makeSessions();
    const older = addClient(clients);
    await sessions.open(older, cookieRequest(older.id));
    secmod.answer = ({ sid }) => secmodSession(sid, { userName: 'mallory' });
    const newer = addClient(clients);
    expect(bodyOf(await sessions.open(newer, cookieRequest(newer.id))).reason).toContain('another user');
    expect(clients.bySid(SID)).toBe(older);
  });

  it('is refused while the server ends the session of the older one', async () => {
    const { sessions, clients, secmod } = makeSessions();
    const older = addClient(clients);
    await sessions.open(older, cookieRequest(older.id));
    sessions.disconnect(older, 'server-disconnect');
    const newer = addClient(clients);
    expect(bodyOf(await sessions.open(newer, cookieRequest(newer.id))).reason).toContain('is ending');
    sessions.close(older, 'server-disconnect', '', null);
    expect(secmod.closed.map(({ serverDisconnected }) => serverDisconnected)).toEqual([false, true]);
  });

  it.each([
    [{ userName: 'alice' }, 'FAILED'],
    [{ safeId: secmodSession(SID).safeId }, 'FAILED'],
    [{ userName: 'bob' }, 'OK'],
    [{ safeId: 'another' }, 'OK'],
  ] as const)('terminated (%j) while an address is tried: %s', async (of, reply) => {
    let answer: (answers: boolean) => void = () => {};
    const answers = () => new Promise<boolean>((resolve) => (answer = resolve));
    const { sessions, clients, leases } = makeSessions({ ping: { answers } });
    const client = addClient(clients);
    const opening = sessions.open(client, cookieRequest(client.id));
    await vi.waitFor(() => expect(leases.size).toBe(1));
    sessions.invalidated(of);
    answer(false);
    expect(bodyOf(await opening).reply).toBe(reply);
    sessions.close(client, 'error', '', null);
    await vi.waitFor(() => expect(leases.size).toBe(0));
  });

  it('leaves one holder when two connections bring it at the same time', async () => {
    const { sessions, clients, leases } = makeSessions();
    const pair = [addClient(clients), addClient(clients)];
    await Promise.all(pair.map((client) => sessions.open(client, cookieRequest(client.id))));
    expect(leases.size).toBe(1);
    expect(pair.filter((client) => clients.bySid(SID) === client)).toHaveLength(1);
  });
});

describe('an explicit address', () => {
  const EXPLICIT = { explicitIpv4: '10.8.0.50', explicitIpv6: 'fd00::50' };
  /** alice has it, with a tunnel; the next session is that of `next`. */
  async function held(next: Parameters<typeof secmodSession>[1]) {
    const made = makeSessions();
    const { sessions, clients, secmod } = made;
    const config = sessionConfig(EXPLICIT);
    secmod.expires = 1e9;
    secmod.answer = ({ sid }) =>
      sid[0] === SID[0]
        ? secmodSession(sid, { config })
        : secmodSession(sid, { config, safeId: 'another', ...next });
    const worker = new FakeWorker();
    const older = addClient(clients, worker);
    await sessions.open(older, cookieRequest(older.id));
    const newer = addClient(clients);
    const open = async () => bodyOf(await sessions.open(newer, cookieRequest(newer.id, OTHER_SID)));
    return { ...made, worker, older, newer, open };
  }

  it('goes to the new login of its user, and the earlier tunnel ends', async () => {
    const { open, worker, older, newer, sessions, leases, devices, reservations } = await held({});
    expect((await open()).session).toMatchObject({ ipv4: '10.8.0.50', ipv6: 'fd00::50' });
    expect(worker.terminated).toEqual([{ client: older.id, how: 'disconnect', reason: 'server-disconnect' }]);
    expect(devices.configured.map(({ ifindex, up }) => [ifindex, up])).toEqual([
      [1, true],
      [1, false],
      [2, true],
    ]);
    sessions.close(older, 'server-disconnect', '', null);
    expect(reservations.size).toBe(0);
    expect(leases.get(newer.id)?.ipv4?.address).toBe('10.8.0.50');
  });

  it('goes to the new login of its user while it waits for the cookie of the earlier one', async () => {
    const { open, older, sessions, reservations } = await held({});
    sessions.close(older, 'error', '', null);
    expect(reservations.size).toBe(1);
    expect((await open()).session).toMatchObject({ ipv4: '10.8.0.50' });
    expect(reservations.size).toBe(0);
  });

  it.each([
    ['another user', { userName: 'bob' }, 'tunnel'],
    ['another user', { userName: 'bob' }, 'cookie'],
    ['another virtual host', { vhost: 'b.example' }, 'tunnel'],
  ])('does not go to %s while %j … its %s holds it', async (_who, next, holds) => {
    const { open, older, worker, sessions } = await held(next);
    if (holds === 'cookie') sessions.close(older, 'error', '', null);
    expect(await open()).toMatchObject({ reply: 'FAILED', reason: expect.stringContaining('no address') });
    expect(worker.terminated).toEqual([]);
  });
});

describe('addresses that wait for a cookie', () => {
  it.each([
    ['the same device', {}, 'laptop', '10.8.0.77'],
    ['another device', {}, 'phone', 'another'],
    ['another program', { userAgent: 'AnyConnect' }, 'laptop', 'another'],
    ['another user', { userName: 'bob' }, 'laptop', 'another'],
    ['another virtual host', { vhost: 'b.example' }, 'laptop', 'another'],
  ])('and a new login from %s', async (_who, next, hostname, expected) => {
    const { sessions, clients, secmod } = makeSessions();
    secmod.expires = 1e9;
    secmod.answer = ({ sid }) => secmodSession(sid, sid[0] === SID[0] ? {} : { safeId: 'another', ...next });
    const older = addClient(clients);
    await sessions.open(older, { ...cookieRequest(older.id), hostname: 'laptop' });
    sessions.close(older, 'error', '', null);
    const newer = addClient(clients);
    const request = { ...cookieRequest(newer.id, OTHER_SID), hostname };
    const address = bodyOf(await sessions.open(newer, request)).session?.ipv4;
    expect(address === '10.8.0.77' ? address : 'another').toBe(expected);
    // The older cookie still works; only the address may be another.
    const back = addClient(clients);
    expect(
      bodyOf(await sessions.open(back, { ...cookieRequest(back.id), hostname: 'laptop' })),
    ).toMatchObject({
      reply: 'OK',
      session: { ipv4: expected === '10.8.0.77' ? expect.not.stringMatching(/\.77$/) : '10.8.0.77' },
    });
  });
});

describe('closing', () => {
  it('releases the lease, takes the device down and reports to secmod once', async () => {
    const { sessions, clients, secmod, leases, devices, clock, stats } = makeSessions();
    const client = addClient(clients);
    await sessions.open(client, cookieRequest(client.id));
    clock.now += 60;
    const counters = { bytesIn: 10, bytesOut: 20, packetsIn: 1, packetsOut: 2, drops: noDrops() };
    sessions.close(client, 'idle-timeout', '', counters);
    sessions.close(client, 'error', 'again', null);
    expect(secmod.closed).toMatchObject([
      { bytesIn: 10, bytesOut: 20, discReason: 'idle-timeout', serverDisconnected: false },
    ]);
    // secmod says that the cookie is dead.
    await Promise.resolve();
    expect(leases.size).toBe(0);
    expect(clients.size).toBe(0);
    expect(devices.configured.at(-1)).toMatchObject({ ifindex: 1, up: false });
    expect(stats.period).toMatchObject({ sessionsClosed: 1, timedOutIdle: 1, sessionSecTotal: 60 });
  });

  it('says so when the server ended it', async () => {
    const { sessions, clients, secmod } = makeSessions();
    const worker = new FakeWorker();
    const client = addClient(clients, worker);
    await sessions.open(client, cookieRequest(client.id));
    sessions.disconnect(client, 'server-disconnect');
    expect(worker.terminated).toEqual([
      { client: client.id, how: 'disconnect', reason: 'server-disconnect' },
    ]);
    sessions.close(client, 'server-disconnect', '', null);
    expect(secmod.closed).toMatchObject([{ discReason: 'server-disconnect', serverDisconnected: true }]);
  });

  it('ends a worker that does not end its client in time, and only that', async () => {
    vi.useFakeTimers();
    try {
      const { sessions, clients } = makeSessions();
      const [deaf, good] = [new FakeWorker(), new FakeWorker()];
      const pair = [addClient(clients, deaf), addClient(clients, good)] as const;
      await sessions.open(pair[0], cookieRequest(pair[0].id));
      for (const client of pair) sessions.disconnect(client, 'server-disconnect');
      sessions.close(pair[1], 'server-disconnect', '', null);
      vi.advanceTimersByTime(9999);
      expect(deaf.cutOffs).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(deaf.cutOffs).toEqual([`it did not end client ${pair[0].id} when told to`]);
      expect(good.cutOffs).toEqual([]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes the connection points of a health probe back, of others not', () => {
    const { sessions, clients, bans } = makeSessions();
    for (const [ip, reason] of [
      ['192.0.2.9', 'health-probe'],
      ['192.0.2.8', 'error'],
    ] as const) {
      bans.add(ip, 1);
      sessions.close(addClient(clients, new FakeWorker(), ip), reason, '', null);
    }
    expect(bans.list().map(({ ip }) => ip)).toEqual(['192.0.2.8']);
  });
});

describe('what a worker reports', () => {
  it('sets the MTU of its own device within 68..16384 or the configured mtu', async () => {
    const { sessions, clients, devices, secmod } = makeSessions();
    secmod.answer = ({ sid }) => secmodSession(sid, { config: sessionConfig({ mtu: 1400 }) });
    const client = addClient(clients);
    await sessions.open(client, cookieRequest(client.id));
    for (const mtu of [67, 1401, 0xffff_ffff]) sessions.reports.setMtu(client, mtu);
    expect(devices.mtus).toEqual([]);
    sessions.reports.setMtu(client, 1400);
    expect(devices.mtus).toEqual([{ ifindex: 1, mtu: 1400 }]);
    expect(client.session?.mtu).toBe(1400);
  });

  it('lets counters only grow', async () => {
    const { sessions, clients } = makeSessions();
    const client = addClient(clients);
    await sessions.open(client, cookieRequest(client.id));
    sessions.reports.count(client, {
      bytesIn: 10,
      bytesOut: 5,
      packetsIn: 2,
      packetsOut: 1,
      drops: noDrops(),
    });
    sessions.reports.count(client, {
      bytesIn: 3,
      bytesOut: 9,
      packetsIn: 1,
      packetsOut: 4,
      drops: noDrops(),
    });
    expect(client.session?.counters).toEqual({
      bytesIn: 10,
      bytesOut: 9,
      packetsIn: 2,
      packetsOut: 4,
    });
  });
});
