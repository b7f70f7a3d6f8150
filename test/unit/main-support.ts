/** Stand-ins for main's surroundings: the kernel's devices and secmod, recording what is asked of them. */
import type { Body } from '../../src/core/ipc/messages.js';
import { createLogger } from '../../src/core/log.js';
import { BanTable } from '../../src/core/main/bans.js';
import { ClientTable, type ClientWorker } from '../../src/core/main/clients.js';
import { LeaseTable } from '../../src/core/main/leases.js';
import { Reservations } from '../../src/core/main/reservations.js';
import { Resumption } from '../../src/core/main/resume.js';
import type { SecmodCalls } from '../../src/core/main/secmod-calls.js';
import { ServerStats } from '../../src/core/main/server-stats.js';
import type { SessionEvent } from '../../src/core/main/session-event.js';
import { SessionHooks } from '../../src/core/main/session-hooks.js';
import { Sessions } from '../../src/core/main/sessions.js';
import { Tickets } from '../../src/core/main/tickets.js';
import type { InterfaceConfig, TunDevice } from '../../src/core/native/types.js';
import { plainConfig } from '../support/session.js';

export const silent = createLogger('test', 2);
silent.level = 'silent';

type SecmodSession = NonNullable<Body<'SECM_SESSION_REPLY'>['session']>;

export const sessionConfig = (values: Partial<SecmodSession['config']> = {}): SecmodSession['config'] => ({
  ...plainConfig,
  ...values,
});

export const secmodSession = (sid: Uint8Array, values: Partial<SecmodSession> = {}): SecmodSession => ({
  sid,
  safeId: 'abcdefghijklmnopqrstuvwxyz0=',
  userName: 'alice',
  groupName: '',
  vhost: 'default',
  ip: '198.51.100.7',
  ipv4Seed: 77,
  tlsAuthOk: false,
  userAgent: 'Open AnyConnect VPN Agent v9.01',
  devicePlatform: '',
  deviceType: '',
  sessionStartTime: 1000,
  config: sessionConfig(),
  ...values,
});

/** An entry of SECM_LIST_COOKIES_REPLY. */
export const aCookie = {
  safeId: 'abcdefghijklmnopqrstuvwxyz0=',
  sessionIsOpen: true,
  tlsAuthOk: false,
  created: 1000,
  expires: 1300,
  userName: 'alice',
  groupName: '',
  vhost: 'default',
  userAgent: 'Open AnyConnect VPN Agent v9.01',
  remoteIp: '198.51.100.7',
  status: 'authenticated' as const,
  inUse: 1,
};

/** secmod with scripted answers. */
export class FakeSecmod implements SecmodCalls {
  readonly opened: Body<'SECM_SESSION_OPEN'>[] = [];
  readonly closed: Body<'SECM_SESSION_CLOSE'>[] = [];
  readonly addresses: Body<'SECM_SESSION_ADDRESSES'>[] = [];
  answer: (body: Body<'SECM_SESSION_OPEN'>) => SecmodSession | null = ({ sid }) => secmodSession(sid);

  async openSession(body: Body<'SECM_SESSION_OPEN'>): Promise<Body<'SECM_SESSION_REPLY'>> {
    this.opened.push(body);
    const session = this.answer(body);
    return session
      ? { reply: 'OK', reason: '', session }
      : { reply: 'FAILED', reason: 'no such session', session };
  }

  readonly resumed: Body<'SECM_SESSION_RESUME'>[] = [];
  /** What it says to tunnels that are presented again; null: it is not there. */
  resumeReply: 'OK' | 'FAILED' | null = 'OK';
  /** When the cookies of ended tunnels end. */
  expires = 0;

  async resumeSession(body: Body<'SECM_SESSION_RESUME'>): Promise<Body<'SECM_SESSION_REPLY'> | null> {
    this.resumed.push(body);
    return this.resumeReply && { reply: this.resumeReply, reason: '', session: null };
  }

  async closeSession(body: Body<'SECM_SESSION_CLOSE'>): Promise<Body<'SECM_CLI_STATS'>> {
    this.closed.push(body);
    const { bytesIn, bytesOut, discReason } = body;
    return { bytesIn, bytesOut, discReason, uptimeSec: 100, expires: this.expires };
  }

  sessionAddresses(body: Body<'SECM_SESSION_ADDRESSES'>): void {
    this.addresses.push(body);
  }
}

/** The kernel's side of tun devices. */
export class FakeDevices {
  readonly configured: InterfaceConfig[] = [];
  readonly mtus: { ifindex: number; mtu: number }[] = [];
  readonly closedFds: number[] = [];
  failConfigure = false;
  #next = 0;

  openTun(): TunDevice {
    const ifindex = ++this.#next;
    return { fd: 100 + ifindex, name: `vpns${ifindex}`, ifindex, vnetHdr: true, tso: true, uso: false };
  }

  configureInterface(config: InterfaceConfig): void {
    if (this.failConfigure && config.up) throw new Error('configureInterface: EPERM');
    this.configured.push(config);
  }

  setInterfaceMtu(ifindex: number, mtu: number): void {
    this.mtus.push({ ifindex, mtu });
  }

  close(fd: number): void {
    this.closedFds.push(fd);
  }
}

export class FakeWorker implements ClientWorker {
  readonly pid = 4711;
  readonly terminated: { client: number; how: string; reason: string }[] = [];
  readonly udp: { client: number; hello: boolean; data: Uint8Array; fd: number }[] = [];

  sendTerminate(client: number, how: string, reason: string): void {
    this.terminated.push({ client, how, reason });
  }

  readonly cutOffs: string[] = [];

  cutOff(detail: string): void {
    this.cutOffs.push(detail);
  }

  sendUdp(client: number, hello: boolean, data: Uint8Array, fd: number): void {
    this.udp.push({ client, hello, data, fd });
  }
}

/** main's session part with its surroundings. */
export function makeSessions(
  values: {
    udpPort?: number;
    connectionPoints?: number;
    scripts?: Partial<ReturnType<ConstructorParameters<typeof SessionHooks>[0]['settings']>>;
    firewallScript?: string;
    ping?: ConstructorParameters<typeof Sessions>[0]['ping'];
  } = {},
) {
  const clock = { now: 2000 };
  const clients = new ClientTable();
  const secmod = new FakeSecmod();
  const devices = new FakeDevices();
  const stats = new ServerStats(clock.now);
  const leases = new LeaseTable();
  const records: { client: number; reason: string | null }[] = [];
  const reservations = new Reservations(leases);
  const tickets = new Tickets(Buffer.alloc(32, 9));
  const bans = new BanTable({
    maxScore: 80,
    banTimeSec: 300,
    resetTimeSec: 1200,
    now: () => clock.now,
    isLocal: () => false,
  });
  const settings = {
    'connect-script': '',
    'disconnect-script': '',
    'host-update-script': '',
    'script-timeout': 10,
    'route-add-cmd': '',
    'route-del-cmd': '',
    device: 'vpns',
    ...values.scripts,
  };
  const hooks = new SessionHooks({
    settings: () => settings,
    log: silent,
    logins: { begins: () => {}, ends: () => {}, idle: () => Promise.resolve() },
    firewallScript: values.firewallScript ?? '',
  });
  const events: SessionEvent[] = [];
  const sessions = new Sessions({
    hooks,
    onEvent: (event) => events.push(event),
    io: devices,
    log: silent,
    clients,
    leases,
    reservations,
    tickets,
    cookieTimeoutSec: 300,
    bans,
    secmod,
    stats,
    device: 'vpns',
    workerUid: 65534,
    offload: true,
    udpPort: values.udpPort ?? 443,
    now: () => clock.now,
    connectionPoints: values.connectionPoints ?? 1,
    record: (client, reason) => records.push({ client: client.id, reason }),
    onClosed: () => {},
    ping: values.ping ?? null,
  });
  const resumption = new Resumption({
    ...{ clients, leases, reservations, sessions, secmod, tickets },
    log: silent,
    // Devices have the numbers in their names.
    interfaceIndex: (name) => Number(name.replace('vpns', '')),
  });
  return {
    clock,
    clients,
    secmod,
    devices,
    stats,
    leases,
    reservations,
    tickets,
    bans,
    sessions,
    resumption,
    records,
    hooks,
    events,
  };
}

export const SID = Uint8Array.from({ length: 32 }, (_, i) => i);

/** A connection in the table. */
export function addClient(
  clients: ClientTable,
  worker: ClientWorker = new FakeWorker(),
  ip = '198.51.100.7',
) {
  const remote = { address: ip, port: 40_000 };
  const local = { address: '192.0.2.1', port: 443 };
  return clients.add({ worker, remote, local, origRemoteIp: ip, acceptedAt: 1990 });
}

export const cookieRequest = (client: number, sid: Uint8Array = SID): Body<'AUTH_COOKIE_REQ'> => ({
  client,
  cookie: Uint8Array.from(sid),
  hostname: 'laptop',
  ipv4: true,
  ipv6: true,
});

/** DTLS 1.2 ClientHello with this session id (RFC 6347 §4.2.1). */
export function clientHello(sessionId: Uint8Array): Buffer {
  const body = Buffer.concat([
    Buffer.from([0xfe, 0xfd]),
    Buffer.alloc(32, 7),
    Buffer.from([sessionId.length]),
    sessionId,
    Buffer.from([0, 0, 2, 0xc0, 0x2f, 1, 0]),
  ]);
  const handshake = Buffer.alloc(12);
  handshake.writeUInt8(1, 0);
  handshake.writeUIntBE(body.length, 1, 3);
  handshake.writeUIntBE(body.length, 9, 3);
  const record = Buffer.from([22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  record.writeUInt16BE(handshake.length + body.length, 11);
  return Buffer.concat([record, handshake, body]);
}

/** A data record of DTLS 1.2. */
export const dataRecord = Buffer.from([23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 1, 2]);
