/** Scripts, firewall rules and limits of main, without a network. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parsePorts } from '../../src/core/config/fw-ports.js';
import { decode, encode } from '../../src/core/control/protobuf.js';
import { noDrops } from '../../src/core/main/clients.js';
import { firewallRules } from '../../src/core/main/firewall.js';
import { ProxyReader } from '../../src/core/main/proxy-reader.js';
import { runScript } from '../../src/core/main/script.js';
import { native } from '../../src/core/native/index.js';
import { receiveFrom } from '../../src/core/native/receive.js';
import type { Accepted } from '../../src/core/native/types.js';
import {
  addClient,
  cookieRequest,
  makeSessions,
  SID,
  secmodSession,
  sessionConfig,
  silent,
} from './main-support.js';

describe('restrict-user-to-ports', () => {
  it.each([
    ['', { negated: false, rules: [] }],
    ['tcp(443)', { negated: false, rules: [{ protocol: 'tcp', port: 443 }] }],
    [
      '!(UDP(53), icmp())',
      {
        negated: true,
        rules: [
          { protocol: 'udp', port: 53 },
          { protocol: 'icmp', port: null },
        ],
      },
    ],
  ])('%s', (text, rules) => expect(parsePorts(text)).toEqual(rules));

  it.each(['tcp', 'tcp(0)', 'tcp(65536)', 'icmp(7)', 'tcp(80', '!()', 'tcp(80),', 'gre()', '!tcp(80)'])(
    '%s is refused',
    (text) => expect(parsePorts(text)).toBeNull(),
  );
});

describe('firewall rules', () => {
  const restrictions = (values: Parameters<typeof sessionConfig>[0]) =>
    firewallRules('vpns-1', sessionConfig({ dns: [], ...values }));

  it('let routes through and reject the rest', () => {
    const text = restrictions({
      restrictUserToRoutes: true,
      routes: ['10.1.0.0/255.255.0.0', 'fd01::/64'],
      noRoutes: ['10.1.2.0/255.255.255.0'],
    });
    expect(text).toContain('table inet ocserv_vpns_1 {');
    const order = [
      'ip daddr 10.1.2.0/24 reject',
      'ip daddr 10.1.0.0/16 accept',
      'ip6 daddr fd01::/64 accept',
    ];
    const places = [...order, '    reject\n'].map((rule) => text.indexOf(rule));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
  });

  it('allow the ports of a list only, and with ! all others', () => {
    expect(restrictions({ restrictUserToPorts: 'tcp(443), icmpv6()' })).toMatch(
      /tcp dport 443 goto routes\n +meta l4proto ipv6-icmp goto routes\n +reject\n/,
    );
    expect(restrictions({ restrictUserToPorts: '!(tcp(25))' })).toMatch(
      /tcp dport 25 reject\n +goto routes\n/,
    );
    expect(restrictions({ dns: ['10.9.9.9'], restrictUserToPorts: 'tcp(1)' })).toContain(
      'ip daddr 10.9.9.9/32 meta l4proto { tcp, udp } th dport 53 accept',
    );
  });

  it('are not made of what cannot be read', () => {
    expect(() => restrictions({ restrictUserToPorts: 'tcp(443); drop' })).toThrow(RangeError);
    expect(() => restrictions({ restrictUserToRoutes: true, routes: ['0/0; drop'] })).toThrow(RangeError);
  });
});

describe('scripts', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'hooks-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const script = (body: string): string => {
    const path = join(dir, 'script');
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
    return path;
  };

  it('succeed with status 0 only', async () => {
    const call = (body: string, timeoutMs = 5000) => runScript({ command: script(body), env: {}, timeoutMs });
    expect(await call('exit 0')).toBeNull();
    expect(await call('exit 7')).toContain('status 7');
    expect(await call('kill -9 $$')).toContain('SIGKILL');
    expect(await call('sleep 60', 50)).toContain('did not end within');
    expect(await runScript({ command: join(dir, 'absent'), env: {}, timeoutMs: 50 })).toContain(
      'cannot be run',
    );
  });

  it('refuse a session, of which nothing is left then', async () => {
    const parts = makeSessions({ scripts: { 'connect-script': script('exit 1') } });
    const client = addClient(parts.clients);
    const reply = await parts.sessions.open(client, cookieRequest(client.id));
    expect(reply).toMatchObject({ reply: 'FAILED' });
    expect(parts.clients.sessions).toBe(0);
    expect(parts.leases.size).toBe(0);
    expect(parts.devices.closedFds).toEqual([101]);
    expect(parts.secmod.closed).toHaveLength(1);
    parts.sessions.close(client, 'unspecified', '', null);
    expect(parts.events).toEqual([]);
  });

  it('of a client that leaves meanwhile are followed by the disconnect script, once', async () => {
    const log = join(dir, 'log');
    const path = script(`echo $REASON $STATS_BYTES_IN >>${log}; [ $REASON = connect ] && sleep 0.2; exit 0`);
    const parts = makeSessions({ scripts: { 'connect-script': path, 'disconnect-script': path } });
    const client = addClient(parts.clients);
    const opening = parts.sessions.open(client, cookieRequest(client.id));
    await expect.poll(() => parts.clients.sessions).toBe(1);
    parts.sessions.close(client, 'user-disconnect', '', {
      bytesIn: 5,
      bytesOut: 6,
      packetsIn: 1,
      packetsOut: 1,
      drops: noDrops(),
    });
    expect(await opening).toMatchObject({ reply: 'FAILED', reason: 'the client is gone' });
    await parts.hooks.idle();
    expect(readFileSync(log, 'utf8')).toBe('connect\ndisconnect 5\n');
    expect(parts.leases.size).toBe(0);
  });

  it('run the firewall script in their place when there is one', async () => {
    const log = join(dir, 'log');
    const path = script(`echo $REASON $OCSERV_NEXT_SCRIPT $OCSERV_ALLOW_PORTS >>${log}`);
    const parts = makeSessions({ scripts: { 'connect-script': '/next' }, firewallScript: path });
    parts.secmod.answer = ({ sid }) =>
      secmodSession(sid, { config: sessionConfig({ restrictUserToPorts: 'tcp(1)' }) });
    const client = addClient(parts.clients);
    expect(await parts.sessions.open(client, cookieRequest(client.id, SID))).toMatchObject({ fds: [101] });
    parts.sessions.close(client, 'user-disconnect', '', null);
    await parts.hooks.idle();
    expect(readFileSync(log, 'utf8')).toBe('connect /next tcp 1\ndisconnect tcp 1\n');
  });
});

describe('PROXY headers', () => {
  /** What becomes of a connection on which these pieces arrive one after the other. */
  async function receive(...pieces: Buffer[]): Promise<{ accepted: Accepted | null; rest: string }> {
    const folder = mkdtempSync(join(tmpdir(), 'proxy-'));
    const listener = native.io.listenUnix(join(folder, 'socket'), 0o600);
    const peer = connect(join(folder, 'socket'));
    let closed = false;
    peer.on('close', () => {
      closed = true;
    });
    // Closed with our bytes unread: a reset.
    peer.on('error', () => undefined);
    await new Promise((done) => peer.once('connect', done));
    const first = native.io.accept(listener);
    let accepted: Accepted | null = null;
    const reader = new ProxyReader({
      io: native.io,
      log: silent,
      onConnection: (found) => {
        accepted = found;
      },
    });
    if (first === null) throw new Error('nothing to accept');
    reader.read(first);
    for (const piece of pieces) await new Promise((done) => peer.write(piece, done));
    await expect.poll(() => accepted !== null || closed).toBe(true);
    const rest = accepted ? (receiveFrom(native.io, first.fd, 100)?.data.toString() ?? '') : '';
    if (accepted) native.io.close(first.fd);
    native.io.close(listener);
    peer.destroy();
    rmSync(folder, { recursive: true });
    return { accepted, rest };
  }

  const line = Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 4000 443\r\nTLS');

  it.each([[[line]], [[...line].map((byte) => Buffer.from([byte]))]])(
    'are read to their end and no further',
    async (pieces) => {
      const { accepted, rest } = await receive(...pieces);
      expect(accepted).toMatchObject({
        remote: { address: '2001:db8::7', port: 4000 },
        local: { address: '2001:db8::1', port: 443 },
      });
      expect('TLS'.startsWith(rest)).toBe(true);
    },
  );

  it('that are none close the connection', async () => {
    expect((await receive(Buffer.from('\x16\x03\x01 is a TLS hello'))).accepted).toBeNull();
    expect((await receive(Buffer.from('PROXY TCP4 nonsense\r\n'))).accepted).toBeNull();
  });

  it('UNKNOWN keeps the addresses of the connection', async () => {
    const { accepted } = await receive(Buffer.from('PROXY UNKNOWN\r\nTLS'));
    expect(accepted).toMatchObject({ remote: { address: '' } });
  });
});

describe('protocol buffers', () => {
  const fields = {
    id: { number: 1, type: 'uint' },
    name: { number: 2, type: 'string' },
    signed: { number: 3, type: 'sint' },
    big: { number: 300, type: 'bool' },
  } as const;

  it('are written and read by the same table', () => {
    const message = { id: 300, name: 'ä', big: true };
    expect(encode(fields, message).toString('hex')).toBe('08ac021202c3a4e01201');
    expect(decode(fields, encode(fields, message))).toEqual(message);
    expect(decode(fields, Buffer.from('1803', 'hex'))).toEqual({ signed: -2 });
    expect(() => encode(fields, { other: 1 })).toThrow('no field other');
  });

  it.each(['08', '1205aa', '0a0161', 'ff', '0f', `08${'ff'.repeat(11)}`])('%s is refused', (hex) => {
    expect(() => decode(fields, Buffer.from(hex, 'hex'))).toThrow(RangeError);
  });
});
