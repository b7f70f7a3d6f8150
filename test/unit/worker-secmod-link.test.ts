import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import type { ChannelOptions, Handlers } from '../../src/core/ipc/api.js';
import { joinChannels } from '../../src/core/ipc/memory-channel.js';
import { SecmodCalls } from '../../src/core/worker/secmod-calls.js';
import { SecmodLink } from '../../src/core/worker/secmod-link.js';

const log = pino({ level: 'silent' });

/** A secmod that can be stopped and started. */
class Secmod {
  running = true;
  /** false: its back end takes for ever. */
  checks = true;
  connections = 0;
  readonly paths: string[] = [];
  readonly reported: number[] = [];
  readonly passwords: string[] = [];
  stop: () => void = () => undefined;

  connect = async (path: string, workerEnd: ChannelOptions<'worker', 'secmod'>) => {
    if (!this.running) throw new Error('nobody listens');
    this.connections += 1;
    this.paths.push(path);
    const handlers: Handlers<'secmod', 'worker'> = {
      SEC_GET_PK: () => ({
        chains: [Buffer.from('pem')],
        clientCa: Buffer.alloc(0),
        ocspResponse: Buffer.alloc(0),
      }),
      SEC_CLIENT_CERT: () => ({ ok: false, userName: '', groups: [], reason: '' }),
      SEC_GET_VHOST: () => ({ groups: [], profile: null }),
      SEC_CHECK_COOKIE: () => ({ valid: false }),
      SEC_SIGN_DATA: () => ({ signature: null }),
      SEC_AUTH_INIT: () => new Promise(() => undefined),
      SEC_AUTH_CONT: ({ password, sid }) => {
        this.passwords.push(Buffer.from(password).toString());
        if (!this.checks) return new Promise(() => undefined);
        return { reply: 'OK', sid, userName: 'u', message: '', passwdCounter: 0, banner: '', token: null };
      },
      SEC_AUTH_END: () => undefined,
      SEC_KDC_REQUEST: () => ({ reply: null, reason: '' }),
      SEC_CLI_STATS: ({ bytesIn }) => {
        this.reported.push(bytesIn);
      },
    };
    const stateOf = () => 'INIT';
    const secmodEnd: ChannelOptions<'secmod', 'worker'> = {
      self: 'secmod',
      peer: 'worker',
      handlers,
      log,
      stateOf,
    };
    const [secmod, worker] = joinChannels<'secmod', 'worker'>(secmodEnd, workerEnd);
    this.stop = () => secmod.close();
    return worker;
  };
}

const getKeys = async (link: SecmodLink) => (await link.channel()).call('SEC_GET_PK', { vhost: 'default' });

describe('SecmodLink', () => {
  it('connects once, when it is first needed', async () => {
    const secmod = new Secmod();
    const link = new SecmodLink(secmod.connect, log);
    link.setPath('/a');
    expect(secmod.connections).toBe(0);
    await Promise.all([getKeys(link), getKeys(link)]);
    expect(secmod.connections).toBe(1);
  });

  it('connects again after secmod was restarted', async () => {
    const secmod = new Secmod();
    const link = new SecmodLink(secmod.connect, log);
    const first = await link.channel();
    secmod.stop();
    while (!first.closed) await new Promise(setImmediate);
    await getKeys(link);
    expect(secmod.connections).toBe(2);
  });

  it('tries again after a failure to connect', async () => {
    const secmod = new Secmod();
    secmod.running = false;
    const link = new SecmodLink(secmod.connect, log, 0);
    await expect(link.channel()).rejects.toThrow('nobody listens');
    await link.send('SEC_CLI_STATS', {
      sid: new Uint8Array(32),
      bytesIn: 1,
      bytesOut: 0,
      discReason: 'error',
    });
    secmod.running = true;
    await getKeys(link);
    await link.send('SEC_CLI_STATS', {
      sid: new Uint8Array(32),
      bytesIn: 2,
      bytesOut: 0,
      discReason: 'error',
    });
    await getKeys(link);
    expect(secmod.reported).toEqual([2]);
  });

  it('waits for a secmod that is being started, with one connection for all', async () => {
    const secmod = new Secmod();
    secmod.running = false;
    let attempts = 0;
    const link = new SecmodLink((path, workerEnd) => {
      attempts += 1;
      if (attempts === 3) secmod.running = true;
      return secmod.connect(path, workerEnd);
    }, log);
    await Promise.all([getKeys(link), getKeys(link)]);
    expect([attempts, secmod.connections]).toEqual([3, 1]);
  });

  it('waits no longer when it is closed', async () => {
    const secmod = new Secmod();
    secmod.running = false;
    const link = new SecmodLink(secmod.connect, log);
    const waiting = link.channel();
    link.close();
    await expect(waiting).rejects.toThrow('nobody listens');
  });

  it('follows a new path', async () => {
    const secmod = new Secmod();
    const link = new SecmodLink(secmod.connect, log);
    link.setPath('/a');
    await getKeys(link);
    link.setPath('/a');
    await getKeys(link);
    link.setPath('/b');
    await getKeys(link);
    expect(secmod.paths).toEqual(['/a', '/b']);
  });

  it('closes its channel', async () => {
    const secmod = new Secmod();
    const link = new SecmodLink(secmod.connect, log);
    const channel = await link.channel();
    link.close();
    while (!channel.closed) await new Promise(setImmediate);
  });
});

describe('SecmodCalls', () => {
  const startup = {
    client: 1,
    remoteIp: '192.0.2.1',
    remotePort: 1,
    ourIp: '192.0.2.2',
    ourPort: 443,
    origRemoteIp: '192.0.2.1',
    sessionStartTime: 1,
    hmac: new Uint8Array(32),
    ticketKeys: new Uint8Array(),
    ticketLifetime: 0,
  };

  it('zeroes a password when secmod has it, and when secmod is gone', async () => {
    const secmod = new Secmod();
    const calls = new SecmodCalls(new SecmodLink(secmod.connect, log), startup);
    const password = Buffer.from('secret');
    const sid = new Uint8Array(32).fill(3);
    const reply = await calls.authCont(sid, password, 1000);
    expect(secmod.passwords).toEqual(['secret']);
    expect(password).toEqual(Buffer.alloc(6));
    // The channel wipes what it handled; neither our SID nor the one in the reply is touched.
    expect([sid, reply.sid]).toEqual([new Uint8Array(32).fill(3), new Uint8Array(32).fill(3)]);
    secmod.running = false;
    const lost = new SecmodCalls(new SecmodLink(secmod.connect, log, 0), startup);
    const again = Buffer.from('secret');
    await expect(lost.authCont(sid, again, 1000)).rejects.toThrow();
    expect(again).toEqual(Buffer.alloc(6));
  });

  it('waits for a back end as long as the login has time, and no longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const secmod = new Secmod();
      secmod.checks = false;
      const calls = new SecmodCalls(new SecmodLink(secmod.connect, log), startup);
      let over = false;
      const asked = calls
        .authCont(new Uint8Array(32), Buffer.from('secret'), 60_000)
        .catch((error: Error) => {
          over = true;
          return error;
        });
      await vi.advanceTimersByTimeAsync(59_000);
      expect(over).toBe(false);
      await vi.advanceTimersByTimeAsync(2_000);
      expect(await asked).toMatchObject({ code: 'OCS_IPC_TIMEOUT' });
    } finally {
      vi.useRealTimers();
    }
  });
});
