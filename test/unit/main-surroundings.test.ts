/** main's dealings with the machine: start checks, rules, routes, sockets. */
import { createSecretKey } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import { Acceptor } from '../../src/core/main/acceptor.js';
import { announce, publicAddress } from '../../src/core/main/announce.js';
import { backoffMs } from '../../src/core/main/child.js';
import type { FirstBytesOutcome } from '../../src/core/main/first-bytes.js';
import { hostRoutes } from '../../src/core/main/foreign-addresses.js';
import { bindAll, type ListenIo, resolveHost, TcpListener } from '../../src/core/main/listeners.js';
import { natRules } from '../../src/core/main/nat.js';
import {
  checkRoot,
  checkTun,
  hiddenDirectory,
  prepareRunDir,
  removeRunDir,
} from '../../src/core/main/preflight.js';
import type { Connection, WorkerLink } from '../../src/core/main/worker-link.js';
import { resolveIdentity, resolveSecmodUser } from '../../src/core/util/identity.js';
import { FakeWorker, makeSessions, silent } from './main-support.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'main-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('start checks', () => {
  it('want CAP_NET_ADMIN, not only uid 0', () => {
    expect(() => checkRoot('CapEff:\t000001ffffffffff\n')).not.toThrow();
    expect(() => checkRoot('CapEff:\t0000000000000800\n')).toThrow('needs root');
  });

  it('say why there is no tun device', () => {
    expect(() => checkTun(join(dir, 'tun'))).toThrow('it does not exist. Load the module');
  });

  it('refuse a run directory that others can write to', () => {
    const run = join(dir, 'run');
    mkdirSync(run);
    expect(prepareRunDir(run)).toBe(false);
    mkdirSync(join(dir, 'open'), { mode: 0o700 });
    rmSync(join(dir, 'open'), { recursive: true });
    const mask = process.umask(0);
    mkdirSync(join(dir, 'open'), { mode: 0o777 });
    process.umask(mask);
    expect(() => prepareRunDir(join(dir, 'open'))).toThrow('others can write to it');
    writeFileSync(join(dir, 'file'), '');
    expect(() => prepareRunDir(join(dir, 'file', 'run'))).toThrow('cannot be used');
  });

  it('remove a run directory that the server made, with nothing in it', () => {
    const run = join(dir, 'made', 'run');
    expect(prepareRunDir(run)).toBe(true);
    writeFileSync(join(run, 'left'), '');
    removeRunDir(run, silent);
    expect(existsSync(run)).toBe(true);
    rmSync(join(run, 'left'));
    removeRunDir(run, silent);
    expect(existsSync(run)).toBe(false);
  });

  it('find the directory on the way that only root can enter', () => {
    expect(hiddenDirectory(dir)).toBe(dir);
    expect(hiddenDirectory('/')).toBeNull();
  });

  it('resolve users and groups by name and number', () => {
    expect(resolveIdentity('root', 'root')).toEqual({ uid: 0, gid: 0 });
    expect(resolveIdentity('123', '456')).toEqual({ uid: 123, gid: 456 });
    expect(() => resolveIdentity('no-such-user', 'root')).toThrow('no user "no-such-user"');
    expect(() => resolveIdentity('root', 'no-such-group')).toThrow('no group "no-such-group"');
    // The group of the user, where none is named.
    expect(resolveIdentity('nobody', '')).toEqual({ uid: 65534, gid: 65534 });
  });

  it('know who secmod becomes', () => {
    expect(resolveSecmodUser('root')).toBeNull();
    expect(resolveSecmodUser('nobody')).toEqual({ uid: 65534, gid: 65534 });
    expect(() => resolveSecmodUser('no-such-user')).toThrow('no user "no-such-user"');
  });
});

describe('NAT rules', () => {
  const plan = { table: 'ocvpn_1', device: 'vpns' };

  it('replace the table in one transaction', () => {
    expect(natRules(plan).split('\n').slice(0, 3)).toEqual([
      'add table inet ocvpn_1',
      'delete table inet ocvpn_1',
      'table inet ocvpn_1 {',
    ]);
  });

  it('masquerade what comes from the devices, whatever its address, and leaves by others', () => {
    expect(natRules(plan)).toContain('iifname "vpns*" oifname != "vpns*" masquerade');
  });
});

describe('routes of tunnels that outlived their main', () => {
  const ipv4 = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'vpns0\t6DF5630A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0',
    'vpns1\t0000630A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
  ].join('\n');
  const ipv6 = [
    'fd3ac4b397d000000000000000000007 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001    vpns0',
    'fd3ac4b397d000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001    vpns0',
    'fe800000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001     eth0',
  ].join('\n');

  it('are the host routes through our devices', () => {
    expect([...hostRoutes(ipv4, ipv6, 'vpns')]).toEqual(['10.99.245.109', 'fd3a:c4b3:97d0::7']);
  });

  it('may be none', () => {
    expect(hostRoutes('', '', 'vpns').size).toBe(0);
  });
});

/** Sockets whose accept(2) and bind(2) do what the test says. */
function fakeIo(script: { accept?: () => never; listen?: (address: string) => number }) {
  const masks: number[] = [];
  let onEvents: (events: number) => void = () => {};
  const io: ListenIo = {
    listenTcp: (address) => script.listen?.(address) ?? 1,
    deferAccept: () => {},
    bindUdp: (address) => script.listen?.(address) ?? 1,
    accept: () => script.accept?.() ?? null,
    receiveDatagram: () => null,
    createPoller: (_fd, callback) => {
      onEvents = callback;
      return { set: (mask) => void masks.push(mask), close: () => {}, ref: () => {}, unref: () => {} };
    },
    close: vi.fn(),
  };
  return { io, masks, wake: () => onEvents(1) };
}

const failure = (code: string) => Object.assign(new Error(code), { code });

describe('listening sockets', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('pause when descriptors run out, log that once, and try again', () => {
    let exhausted = true;
    const errors = vi.spyOn(silent, 'error');
    const { io, masks, wake } = fakeIo({
      accept: () => {
        if (exhausted) throw failure('EMFILE');
        return null as never;
      },
    });
    const listener = new TcpListener(io, 1, silent, () => {});
    listener.setPaused(false);
    masks.length = 0;
    wake();
    expect(masks).toEqual([0]);
    vi.advanceTimersByTime(250);
    expect(masks).toEqual([0, 1]);
    wake();
    expect(errors).toHaveBeenCalledOnce();
    exhausted = false;
    vi.advanceTimersByTime(250);
    expect(masks.at(-1)).toBe(1);
    listener.close();
  });

  it('stay paused when they were paused meanwhile', () => {
    const { io, masks, wake } = fakeIo({
      accept: () => {
        throw failure('ENFILE');
      },
    });
    const listener = new TcpListener(io, 1, silent, () => {});
    listener.setPaused(false);
    wake();
    listener.setPaused(true);
    vi.advanceTimersByTime(250);
    expect(masks.at(-1)).toBe(0);
    listener.close();
  });

  it('leave out IPv6 where there is none, and only the wildcard', () => {
    const listen = (address: string) => {
      if (address.includes(':')) throw failure('EAFNOSUPPORT');
      return 7;
    };
    expect(bindAll(fakeIo({ listen }).io, 'TCP', ['0.0.0.0', '::'], 443)).toEqual({
      bound: [{ fd: 7, address: '0.0.0.0' }],
      missing: ['::'],
    });
    expect(() => bindAll(fakeIo({ listen }).io, 'TCP', ['2001:db8::1'], 443)).toThrow('cannot be opened');
  });

  it('close what was opened when one address fails', () => {
    const { io } = fakeIo({
      listen: (address) => {
        if (address === '192.0.2.2') throw failure('EADDRINUSE');
        return 7;
      },
    });
    expect(() => bindAll(io, 'UDP', ['192.0.2.1', '192.0.2.2'], 443)).toThrow(
      'UDP port 443 on 192.0.2.2 is already in use',
    );
    expect(io.close).toHaveBeenCalledWith(7);
  });

  it('resolve names and literals', async () => {
    expect(await resolveHost('')).toEqual(['0.0.0.0', '::']);
    expect(await resolveHost('2001:db8::1')).toEqual(['2001:db8::1']);
    vi.useRealTimers();
    expect(await resolveHost('localhost')).toContain('127.0.0.1');
    await expect(resolveHost('no-such-host.invalid')).rejects.toThrow('no-such-host.invalid');
  });
});

describe('Acceptor', () => {
  function setUp(
    maxClients: number,
    { maxLogins = 0, said = 'bytes' as FirstBytesOutcome, rateLimitMs = 0, busy = false } = {},
  ) {
    const ended: string[] = [];
    const { clients, bans, stats } = makeSessions();
    const assigned: Connection[] = [];
    const waiting: Connection[] = [];
    const closed: number[] = [];
    const pauses: boolean[] = [];
    const clock = { now: 2000 };
    const link = Object.assign(new FakeWorker(), { start: () => {} }) as unknown as WorkerLink;
    const acceptor = new Acceptor({
      clients,
      bans,
      stats,
      log: silent,
      hmacKey: createSecretKey(Buffer.alloc(32)),
      ticketKeys: { current: () => ({ keys: new Uint8Array(), lifetimeSec: 0 }) },
      connectionPoints: 1,
      maxPending: 0,
      rateLimitMs,
      proxyProtocol: false,
      proxy: { read: () => {} },
      firstBytes: { size: 0, of: () => 0, wait: (_accepted, done) => done(said) },
      maxLogins,
      endLogin: (client) => ended.push(client.remote.address),
      maxClients,
      now: () => clock.now,
      closeFd: (fd) => closed.push(fd),
      assign: (connection) => {
        assigned.push(connection);
        waiting.push(connection);
        settle();
      },
      waiting: () => waiting.length,
      setPaused: (paused) => pauses.push(paused),
    });
    function settle(): void {
      while (!busy && waiting.length > 0 && acceptor.mayBegin()) {
        const connection = waiting.shift();
        if (connection) acceptor.begin(link, connection);
      }
    }
    const accept = (address: string, fd = 9) =>
      acceptor.accept({ fd, remote: { address, port: 1 }, local: { address: '192.0.2.1', port: 443 } });
    return { acceptor, clients, bans, assigned, waiting, closed, clock, ended, pauses, accept, settle };
  }

  it('closes connections of banned addresses and counts the others', () => {
    const { accept, bans, assigned, closed } = setUp(0);
    bans.add('203.0.113.1', 79);
    accept('203.0.113.1', 8);
    expect(closed).toEqual([8]);
    accept('203.0.113.2');
    expect(assigned).toHaveLength(1);
    expect(bans.list().find(({ ip }) => ip === '203.0.113.2')?.score).toBe(1);
  });

  it('spends no worker on a client that says nothing, and no ban points on one that only looks', () => {
    const silentOne = setUp(0, { said: 'silent' });
    silentOne.accept('203.0.113.2', 8);
    expect(silentOne).toMatchObject({ assigned: [], closed: [8] });
    expect(silentOne.bans.list()).toMatchObject([{ ip: '203.0.113.2', score: 1 }]);
    const probe = setUp(0, { said: 'end' });
    probe.accept('203.0.113.2', 8);
    expect(probe).toMatchObject({ assigned: [], closed: [8] });
    expect(probe.bans.list().filter(({ score }) => score > 0)).toEqual([]);
  });

  it('ends the oldest login at max-pending, none that has its tunnel, and lets nobody in before it has gone', () => {
    const { accept, clients, clock, ended, settle, waiting } = setUp(0, { maxLogins: 2 });
    const addresses = () => [...clients.all()].map(({ remote }) => remote.address.slice(-1)).join('');
    accept('198.51.100.1');
    const [first] = clients.all();
    if (first) clients.notPending(first);
    for (let i = 2; i <= 5; i++) accept(`198.51.100.${i}`);
    expect(ended).toEqual([]);
    clock.now += 3;
    settle();
    settle();
    expect(ended).toEqual(['198.51.100.2']);
    expect([addresses(), waiting.length]).toEqual(['123', 2]);
    for (const gone of [...clients.all()].slice(1, 2)) clients.remove(gone);
    settle();
    expect(ended).toEqual(['198.51.100.2', '198.51.100.3']);
    expect([addresses(), waiting.length]).toEqual(['134', 1]);
  });

  it('tells once in a minute that logins of one address end at max-pending', () => {
    const info = vi.spyOn(silent, 'info');
    const told = () => info.mock.calls.filter(([, message]) => String(message).startsWith('max-pending'));
    const { accept, clients, clock, ended, settle } = setUp(0, { maxLogins: 1 });
    accept('198.51.100.1');
    const endOldest = () => {
      clock.now += 3;
      accept('198.51.100.1');
      for (const gone of [...clients.all()]) clients.remove(gone);
      settle();
    };
    for (let n = 0; n < 10; n++) endOldest();
    expect(ended).toHaveLength(10);
    expect(told()).toHaveLength(1);
    clock.now += 60;
    endOldest();
    expect(told()).toHaveLength(2);
    info.mockRestore();
  });

  it('has room again as soon as a login has its tunnel', () => {
    const { accept, clients, ended, settle } = setUp(0, { maxLogins: 1 });
    accept('198.51.100.1');
    const [first] = clients.all();
    if (first) clients.notPending(first);
    accept('198.51.100.2');
    settle();
    expect([clients.size, ended]).toEqual([2, []]);
  });

  it.each([
    {
      busy: true,
      taken: [1, 1, 2, 3, 4],
      what: 'one connection in rate-limit-ms while others wait for a worker',
    },
    { busy: false, taken: [20, 20, 20, 20, 20], what: 'all that come when nobody waits' },
  ])('takes $what', ({ busy, taken }) => {
    vi.useFakeTimers();
    const { accept, acceptor, assigned, pauses } = setUp(0, { rateLimitMs: 100, busy });
    let backlog = 20;
    /** The kernel's backlog, as a listener empties it. */
    const listen = (): number => {
      for (; backlog > 0 && pauses.at(-1) !== true; backlog--) accept(`198.51.100.${backlog}`);
      return assigned.length;
    };
    const after = [0, 99, 1, 100, 100].map((milliseconds) => {
      vi.advanceTimersByTime(milliseconds);
      return listen();
    });
    expect(after).toEqual(taken);
    acceptor.close();
    vi.useRealTimers();
  });

  it('pauses at max-clients and resumes below 90 %', () => {
    const { accept, acceptor, clients, pauses } = setUp(10);
    for (let i = 0; i < 10; i++) accept(`198.51.100.${i}`);
    expect(pauses).toEqual([true]);
    const all = [...clients.all()];
    if (all[0]) clients.remove(all[0]);
    acceptor.released();
    expect(pauses).toEqual([true]);
    if (all[1]) clients.remove(all[1]);
    acceptor.released();
    expect(pauses).toEqual([true, false]);
  });
});

describe('what is printed', () => {
  const config = buildConfig(
    {
      auth: ['plain[passwd=/x]'],
      'server-cert': ['/c'],
      'server-key': ['/k'],
      'ipv4-network': '10.0.0.0/24',
    },
    {},
    '/etc/vpn.yaml',
  );
  const shown = {
    config,
    tcp: ['0.0.0.0', '::'],
    udp: ['192.0.2.1'],
    ipv6: true,
    runDir: '/run/vpn',
    natOn: false,
  };

  it('is the whole command to connect, with the password as long as it is the generated one', () => {
    const login = { userName: 'user', password: 'abcd-efgh', pin: 'pin-sha256:xyz=' };
    expect(announce({ ...shown, tcp: ['192.0.2.1'], login })).toContain(
      "  echo 'abcd-efgh' | sudo openconnect --protocol=anyconnect --servercert pin-sha256:xyz= --user user --passwd-on-stdin 192.0.2.1:443",
    );
    const changed = announce({ ...shown, tcp: ['2001:db8::1'], login: { ...login, password: null } });
    expect(changed).toContain('--user user [2001:db8::1]:443');
    expect(changed).not.toContain('--passwd-on-stdin');
  });

  it('is what it listens on when there is a file', () => {
    const text = announce({ ...shown, login: null });
    expect(text).toContain('TLS            0.0.0.0:443, [::]:443');
    expect(text).toContain('/etc/vpn.yaml');
    expect(text).not.toContain('openconnect');
  });

  it('names an address that others can reach', () => {
    const entry = (address: string, family: 'IPv4' | 'IPv6', internal = false) => ({
      address,
      family,
      internal,
      netmask: '',
      mac: '',
      cidr: null,
      scopeid: 0,
    });
    const interfaces = {
      lo: [entry('127.0.0.1', 'IPv4', true)],
      eth0: [entry('fe80::1', 'IPv6'), entry('2001:db8::5', 'IPv6'), entry('192.0.2.5', 'IPv4')],
    };
    expect(publicAddress(['0.0.0.0'], interfaces as never)).toBe('192.0.2.5');
    expect(publicAddress(['0.0.0.0', '198.51.100.1'], interfaces as never)).toBe('198.51.100.1');
    expect(publicAddress(['::'], {})).toBe('localhost');
  });
});

it('backs off from 100 ms to 5 s', () => {
  expect([0, 1, 2, 3, 7, 50].map(backoffMs)).toEqual([0, 100, 200, 400, 5000, 5000]);
});
