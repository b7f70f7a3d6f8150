/** Tunnels that outlived main: what a new main believes of what their workers present. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Body } from '../../src/core/ipc/messages.js';
import { MainState } from '../../src/core/main/main-state.js';
import { ServerStats } from '../../src/core/main/server-stats.js';
import { Tickets } from '../../src/core/main/tickets.js';
import { addClient, cookieRequest, FakeWorker, makeSessions, SID, silent } from './main-support.js';

type Parts = ReturnType<typeof makeSessions>;
type Granted = NonNullable<Body<'AUTH_COOKIE_REP'>['session']>;

/** A tunnel of a first main; its ticket. */
async function openTunnel(parts: Parts, sid: Uint8Array = SID) {
  const worker = new FakeWorker();
  const client = addClient(parts.clients, worker);
  const reply = await parts.sessions.open(client, cookieRequest(client.id, sid));
  const session = ('body' in reply ? reply.body.session : null) as Granted;
  return { worker, client, session, ticket: session.ticket };
}

describe('a main that starts again', () => {
  it('enters the client as it was, tells secmod, and keeps its addresses from others', async () => {
    const before = makeSessions();
    const { client, session, ticket } = await openTunnel(before);
    const after = makeSessions();
    const { reply, client: resumed } = after.resumption.resume(new FakeWorker(), {
      client: client.id,
      open: true,
      ticket,
    });
    expect(reply).toEqual({ reply: 'OK', reason: '' });
    expect(resumed).toMatchObject({ id: client.id, state: 'COMPLETED', remote: client.remote });
    expect(resumed?.session).toEqual({
      ...client.session,
      awaitsBaseline: true,
      sid: Buffer.from(SID),
      dtlsSessionId: expect.anything(),
    });
    expect(Buffer.from(resumed?.session?.dtlsSessionId ?? [])).toEqual(Buffer.from(session.dtlsSessionId));
    expect(after.clients.bySid(SID)).toBe(resumed);
    expect(after.secmod.resumed).toMatchObject([
      { client: client.id, userName: 'alice', ip: '198.51.100.7' },
    ]);
    expect(after.events).toMatchObject([{ type: 'adopted', reason: null, client: { id: client.id } }]);
    const other = await openTunnel(after, randomBytes(32));
    expect(other.session.ipv4).not.toBe(session.ipv4);
  });

  it('ends a session that secmod does not know any more, and leaves it alone while secmod is away', async () => {
    const { client, ticket } = await openTunnel(makeSessions());
    const after = makeSessions();
    after.secmod.resumeReply = 'FAILED';
    const worker = new FakeWorker();
    after.resumption.resume(worker, { client: client.id, open: true, ticket });
    await Promise.resolve();
    await Promise.resolve();
    expect(worker.terminated).toMatchObject([{ client: client.id, how: 'disconnect' }]);
    const away = makeSessions();
    away.secmod.resumeReply = null;
    const calm = new FakeWorker();
    away.resumption.resume(calm, { client: client.id, open: true, ticket });
    await Promise.resolve();
    expect(calm.terminated).toEqual([]);
    away.resumption.presentAll();
    expect(away.secmod.resumed).toHaveLength(2);
  });

  it('takes the newer of two connections with one cookie, whoever comes first', async () => {
    for (const newerFirst of [true, false]) {
      const before = makeSessions();
      const [old, young] = [await openTunnel(before), await openTunnel(before)];
      const after = makeSessions();
      const worker = new FakeWorker();
      const present = ({ client, ticket }: typeof old) =>
        after.resumption.resume(worker, { client: client.id, open: true, ticket }).reply.reply;
      const results = newerFirst ? [present(young), present(old)] : [present(old), present(young)];
      expect(results).toEqual(newerFirst ? ['OK', 'FAILED'] : ['OK', 'OK']);
      expect(after.clients.bySid(SID)?.id).toBe(young.client.id);
      expect(worker.terminated.map(({ how }) => how)).toEqual(newerFirst ? [] : ['drop']);
    }
  });

  it('refuses forged, foreign, doubled tickets and devices that are gone', async () => {
    const before = makeSessions();
    const { client, ticket, session } = await openTunnel(before);
    const after = makeSessions();
    const worker = new FakeWorker();
    const reason = (values: { id?: number; ticket?: Uint8Array; by?: FakeWorker }) =>
      after.resumption.resume(values.by ?? worker, {
        client: values.id ?? client.id,
        open: true,
        ticket: values.ticket ?? ticket,
      }).reply.reason;
    for (const at of [0, 20, ticket.length - 1]) {
      const forged = Uint8Array.from(ticket, (byte, index) => (index === at ? byte ^ 1 : byte));
      expect(reason({ ticket: forged })).toMatch(/not ours/);
    }
    expect(reason({ ticket: ticket.subarray(0, 9) })).toMatch(/not ours/);
    expect(reason({ ticket: new Tickets(randomBytes(32)).seal(client, client.session as never) })).toMatch(
      /not ours/,
    );
    expect(reason({ id: client.id + 1 })).toMatch(/another client/);
    expect(reason({ by: Object.assign(new FakeWorker(), { pid: 1 }) })).toMatch(/another client/);
    const gone = after.tickets.seal(client, { ...client.session, ifindex: 99 } as never);
    expect(reason({ ticket: gone })).toMatch(/is gone/);
    expect(after.clients.size).toBe(0);
    expect(reason({})).toBe('');
    expect(reason({})).toMatch(/newer connection/);
    const taken = await openTunnel(before, randomBytes(32));
    const clash = after.tickets.seal(taken.client, {
      ...taken.client.session,
      lease: client.session?.lease,
    } as never);
    expect(reason({ id: taken.client.id, ticket: clash })).toMatch(/addresses are taken/);
    expect(after.clients.size).toBe(1);
    expect(session.ipv4).toBe(after.clients.bySid(SID)?.session?.lease.ipv4?.address);
  });
});

describe('tickets', () => {
  const seal = async (banner: string) => {
    const before = makeSessions();
    const { client } = await openTunnel(before);
    const { session } = client;
    const config = { ...session?.config, banner };
    return { before, ticket: before.tickets.seal(client, { ...session, config } as never) };
  };

  it.each([20, 8000, 60_000])('open with what was sealed: %i characters more', async (length) => {
    const banner = 'ä'.repeat(length);
    const { before, ticket } = await seal(banner);
    expect(before.tickets.open(ticket)?.session).toMatchObject({ config: { banner }, userName: 'alice' });
    expect(Buffer.from(before.tickets.open(ticket)?.session.sid ?? [])).toEqual(Buffer.from(SID));
  });

  it('of a long configuration are packed, so that they fit into their messages', async () => {
    const [short, long] = [await seal(''), await seal('x'.repeat(60_000))];
    expect(long.ticket.length).toBeLessThan(short.ticket.length + 1000);
  });

  it('of an earlier version, which packed all, open as well', () => {
    const [key, nonce] = [Buffer.alloc(32, 9), Buffer.alloc(12, 1)];
    const content = { client: 7, session: { sid: 'AQI=', dtlsSessionId: 'Aw==' } };
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from('ocvpn client ticket v1'));
    const sealed = [cipher.update(deflateRawSync(JSON.stringify(content))), cipher.final()];
    const ticket = Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]);
    const opened = new Tickets(key).open(ticket);
    expect(opened).toMatchObject({ client: 7, session: { sid: Buffer.from([1, 2]) } });
  });
});

describe('addresses of a tunnel that ended', () => {
  const lost = (parts: Parts, client: Awaited<ReturnType<typeof openTunnel>>['client']) =>
    parts.sessions.close(client, 'dpd-timeout', '', null);

  it('wait as long as the cookie lives, and go to nobody else', async () => {
    const parts = makeSessions();
    parts.secmod.expires = parts.clock.now + 300;
    const { client, session } = await openTunnel(parts);
    lost(parts, client);
    await Promise.resolve();
    parts.secmod.answer = ({ sid }) => other(sid);
    const stranger = await openTunnel(parts, randomBytes(32));
    expect(stranger.session.ipv4).not.toBe(session.ipv4);
    parts.reservations.expire(parts.clock.now + 299);
    expect(parts.reservations.size).toBe(1);
    parts.reservations.expire(parts.clock.now + 300);
    expect(parts.reservations.size).toBe(0);
  });

  it('are given back at once when the cookie is dead', async () => {
    const parts = makeSessions();
    const { client } = await openTunnel(parts);
    lost(parts, client);
    await Promise.resolve();
    expect(parts.reservations.size).toBe(0);
    expect(parts.leases.size).toBe(0);
  });

  it('are there again for the client, unless the pool has moved', async () => {
    for (const moved of [false, true]) {
      const parts = makeSessions();
      parts.secmod.expires = parts.clock.now + 300;
      const { client, session } = await openTunnel(parts);
      lost(parts, client);
      await Promise.resolve();
      if (moved) {
        const answer = parts.secmod.answer;
        parts.secmod.answer = (body) => {
          const found = answer(body);
          return found && { ...found, config: { ...found.config, ipv4Network: '10.77.0.0/24' } };
        };
      }
      const again = await openTunnel(parts);
      if (moved) expect(again.session.ipv4).toMatch(/^10\.77\.0\./);
      else expect(again.session.ipv4).toBe(session.ipv4);
      expect(parts.leases.size).toBe(1);
      expect(parts.reservations.size).toBe(0);
    }
  });

  it('are released with the session or with all of a user', () => {
    const { reservations, leases } = makeSessions();
    const lease = (n: number) => ({
      ipv4: { address: `10.8.0.${n}`, local: '10.8.0.1', netmask: '255.255.255.0' },
      ipv6: null,
    });
    for (const [n, userName] of [
      [2, 'alice'],
      [3, 'alice'],
      [4, 'bob'],
    ] as const)
      expect(reservations.restore(`s${n}`, lease(n), { userName, until: 99 })).toBe(true);
    expect(reservations.restore('s5', lease(4), { userName: 'eve', until: 99 })).toBe(false);
    reservations.releaseUser('alice');
    expect(leases.size).toBe(1);
    reservations.release('s4');
    expect(leases.size).toBe(0);
  });
});

const other = (sid: Uint8Array) =>
  ({
    ...makeSessions().secmod.answer({ client: 1, sid, remoteIp: '' } as never),
    safeId: Buffer.from(sid).toString('base64').slice(0, 28),
    userName: 'bob',
  }) as never;

describe('the state file of main', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ocvpn-state-'));
    path = join(directory, 'main.state');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const start = () => {
    const state = new MainState(path, silent);
    const stats = new ServerStats(5, state.savedStats);
    const { bans } = makeSessions();
    bans.restore(state.savedBans);
    state.open({ stats: () => stats.snapshot(), bans: () => bans.snapshot() });
    return { state, stats, bans };
  };

  it('gives the next main the key, other handles and the figures', () => {
    const first = start();
    const handles = Array.from({ length: 3000 }, first.state.nextHandle);
    first.stats.sessionClosed('error', 10, 3, 4);
    first.state.touch();
    first.state.flush();
    const second = start();
    expect(second.state.ticketKey).toEqual(first.state.ticketKey);
    expect(handles).not.toContain(second.state.nextHandle());
    expect(second.stats).toMatchObject({ totalSessions: 1, startedAt: 5, period: { bytesIn: 3, errors: 1 } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('gives the next main the bans in force, not the points below the limit', () => {
    const first = start();
    first.bans.add('192.0.2.9', 80);
    first.bans.add('192.0.2.10', 79);
    first.state.touch();
    first.state.flush();
    const second = start();
    expect(second.bans.list()).toEqual([{ ip: '192.0.2.9', score: 80, expires: 2300 }]);
    expect(second.bans.isBanned('192.0.2.9')).toBe(true);
  });

  it('begins anew after an orderly stop, and when it cannot be believed', () => {
    const first = start();
    first.state.remove();
    expect(existsSync(path)).toBe(false);
    const second = start();
    expect(second.state.ticketKey).not.toEqual(first.state.ticketKey);
    expect(second.state.nextHandle()).toBe(1);
    chmodSync(path, 0o644);
    expect(start().state.ticketKey).not.toEqual(second.state.ticketKey);
    writeFileSync(path, '{"v":1,"key":""}', { mode: 0o600 });
    expect(start().state.nextHandle()).toBe(1);
  });
});
