/** Workers are not trusted: what one says about another's client ends that worker and changes nothing else. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Channel, Handlers } from '../../src/core/ipc/api.js';
import { joinChannels } from '../../src/core/ipc/memory-channel.js';
import { noDrops } from '../../src/core/main/clients.js';
import { type Connection, WorkerLink } from '../../src/core/main/worker-link.js';
import { addClient, cookieRequest, makeSessions, silent } from './main-support.js';

type Parts = ReturnType<typeof makeSessions>;

const workerHandlers: Handlers<'worker', 'main'> = {
  WORKER_CONFIG: () => {},
  WORKER_STARTUP: () => {},
  UDP_FD: () => {},
  TERMINATE: () => {},
};

function connectWorker(parts: Parts, pid: number, own = true) {
  const violations: string[] = [];
  const adopted: Connection[] = [];
  const link = new WorkerLink({
    pid,
    own,
    mayAdopt: !own,
    log: silent,
    sessions: parts.sessions,
    resumption: parts.resumption,
    bans: parts.bans,
    onReady: () => {},
    onRelease: () => {},
    onAdopt: (_link, connection) => adopted.push(connection) > 0,
    onViolation: (bad, detail) => {
      violations.push(detail);
      bad.channel?.close();
    },
  });
  const closed = vi.fn();
  const [main, worker] = joinChannels<'main', 'worker'>(
    {
      self: 'main',
      peer: 'worker',
      handlers: link.handlers,
      log: silent,
      stateOf: link.stateOf,
      onClose: closed,
    },
    { self: 'worker', peer: 'main', handlers: workerHandlers, log: silent },
  );
  link.channel = main;
  const client = addClient(parts.clients, link);
  link.clients.set(client.id, client);
  return { link, worker, client, violations, adopted, closed };
}

const counts = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, drops: noDrops() };

const credentials = { hmac: Buffer.alloc(32), tickets: { keys: Buffer.alloc(80), lifetimeSec: 60 } };

afterEach(() => vi.restoreAllMocks());

describe('a worker and its own client', () => {
  it('opens, reports and closes', async () => {
    const parts = makeSessions();
    const { worker, client } = connectWorker(parts, 1);
    // The reply would carry a descriptor of a real device: only main's side is looked at here.
    parts.secmod.answer = () => null;
    const reply = await worker.call('AUTH_COOKIE_REQ', cookieRequest(client.id));
    expect(reply.body.reply).toBe('FAILED');
    worker.send('CLIENT_CLOSED', { client: client.id, reason: 'error', detail: 'bye', ...counts });
    await vi.waitFor(() => expect(client.state).toBe('CLOSED'));
    expect(parts.clients.size).toBe(0);
  });

  it('has a line that says why its connection failed, if it had no tunnel', async () => {
    const parts = makeSessions();
    const warn = vi.spyOn(silent, 'warn');
    const { worker, client } = connectWorker(parts, 1);
    const { id, remote } = client;
    worker.send('CLIENT_CLOSED', { client: id, reason: 'error', detail: 'no such page', ...counts });
    await vi.waitFor(() => expect(client.state).toBe('CLOSED'));
    const where = { client: id, ip: remote.address, port: remote.port };
    expect(warn.mock.calls).toEqual([[where, 'connection failed: no such page']]);
  });

  it('gets no more while it is out of descriptors, until one of its tunnels has ended', async () => {
    const parts = makeSessions();
    const warn = vi.spyOn(silent, 'warn');
    const { link, worker, client } = connectWorker(parts, 1);
    const login = addClient(parts.clients, link);
    link.start(login, { fd: null, remote: login.remote, local: login.local }, credentials);
    worker.send('WORKER_FULL', { client: login.id });
    worker.send('WORKER_FULL', { client: login.id });
    worker.send('CLIENT_CLOSED', { client: login.id, reason: 'error', detail: '', ...counts });
    await vi.waitFor(() => expect(login.state).toBe('CLOSED'));
    expect(link.full).toBe(true);
    expect(warn.mock.calls.filter(([, message]) => /out of descriptors/.test(String(message)))).toHaveLength(
      1,
    );
    worker.send('CLIENT_CLOSED', { client: client.id, reason: 'user-disconnect', detail: '', ...counts });
    await vi.waitFor(() => expect(client.state).toBe('CLOSED'));
    expect(link.full).toBe(false);
  });

  it('may add ban points to its own client', async () => {
    const parts = makeSessions();
    const { worker, client } = connectWorker(parts, 1);
    expect((await worker.call('BAN_IP', { client: client.id, score: 79 })).body.allowed).toBe(true);
    expect((await worker.call('BAN_IP', { client: client.id, score: 1 })).body.allowed).toBe(false);
  });
});

describe('a worker and a client of another', () => {
  const attempts: [string, (worker: Channel<'worker', 'main'>, client: number) => unknown][] = [
    [
      'CLIENT_CLOSED',
      (w, client) => w.send('CLIENT_CLOSED', { client, reason: 'error', detail: '', ...counts }),
    ],
    ['BAN_IP', (w, client) => w.call('BAN_IP', { client, score: 80 }).catch(() => {})],
    ['AUTH_COOKIE_REQ', (w, client) => w.call('AUTH_COOKIE_REQ', cookieRequest(client)).catch(() => {})],
    ['TUN_MTU', (w, client) => w.send('TUN_MTU', { client, mtu: 1000 })],
    ['CLI_STATS', (w, client) => w.send('CLI_STATS', { client, ...counts, dtlsActive: false })],
    [
      'SESSION_INFO',
      (w, client) =>
        w.send('SESSION_INFO', {
          client,
          tlsCiphersuite: 'x',
          dtlsCiphersuite: '',
          cstpCompr: '',
          dtlsCompr: '',
          pid: 1,
        }),
    ],
  ];

  it.each(attempts)('%s is cut off, the other client is left alone', async (_name, attempt) => {
    const parts = makeSessions();
    const victim = connectWorker(parts, 1);
    const attacker = connectWorker(parts, 2);
    attempt(attacker.worker, victim.client.id);
    await vi.waitFor(() => expect(attacker.closed).toHaveBeenCalledOnce());
    expect(victim.client.state).toBe('INACTIVE');
    expect(parts.clients.byId(victim.client.id)).toBe(victim.client);
    expect(parts.bans.list()).toEqual([]);
    expect(parts.secmod.opened).toEqual([]);
    expect(victim.closed).not.toHaveBeenCalled();
  });
});

describe('messages out of place', () => {
  it('TUN_MTU before the tunnel is a violation', async () => {
    const { worker, client, closed } = connectWorker(makeSessions(), 1);
    worker.send('TUN_MTU', { client: client.id, mtu: 1400 });
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce());
    expect(closed.mock.calls[0]?.[1]).toBeInstanceOf(Error);
  });

  it('a second AUTH_COOKIE_REQ is a violation', async () => {
    const parts = makeSessions();
    parts.secmod.answer = () => null;
    const { worker, client, closed } = connectWorker(parts, 1);
    await worker.call('AUTH_COOKIE_REQ', cookieRequest(client.id));
    worker.call('AUTH_COOKIE_REQ', cookieRequest(client.id)).catch(() => {});
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce());
    expect(parts.secmod.opened).toHaveLength(1);
  });

  it('WORKER_READY comes once', async () => {
    const { worker, link, violations } = connectWorker(makeSessions(), 1);
    worker.send('WORKER_READY', {});
    await vi.waitFor(() => expect(link.ready).toBe(true));
    worker.send('WORKER_READY', {});
    await vi.waitFor(() => expect(violations).toEqual(['WORKER_READY came twice']));
  });

  it('WORKER_ADOPT is refused from a worker that main started, and taken once from others', async () => {
    const addresses = { remoteIp: '203.0.113.1', remotePort: 1, ourIp: '192.0.2.1', ourPort: 443 };
    const own = connectWorker(makeSessions(), 1);
    own.worker.send('WORKER_ADOPT', addresses);
    await vi.waitFor(() => expect(own.violations).toEqual(['WORKER_ADOPT is not allowed']));
    expect(own.adopted).toEqual([]);
    const other = connectWorker(makeSessions(), 2, false);
    other.worker.send('WORKER_ADOPT', addresses);
    await vi.waitFor(() => expect(other.adopted).toMatchObject([{ remote: { address: '203.0.113.1' } }]));
    other.worker.send('WORKER_ADOPT', addresses);
    await vi.waitFor(() => expect(other.violations).toHaveLength(1));
  });

  it('WORKER_ADOPT without real addresses is a violation', async () => {
    const { worker, violations } = connectWorker(makeSessions(), 2, false);
    worker.send('WORKER_ADOPT', { remoteIp: 'localhost', remotePort: 1, ourIp: '192.0.2.1', ourPort: 443 });
    await vi.waitFor(() => expect(violations).toEqual(['WORKER_ADOPT without addresses']));
  });
});

describe('the end of a worker', () => {
  it('closes all its clients and nobody else', () => {
    const parts = makeSessions();
    const dead = connectWorker(parts, 1);
    const alive = connectWorker(parts, 2);
    dead.link.lost('killed');
    expect(dead.client.state).toBe('CLOSED');
    expect(alive.client.state).toBe('INACTIVE');
    expect([...parts.clients.all()]).toEqual([alive.client]);
  });
});
