/** What the control verbs do. */
import type { SessionData, StatusData, UserData, VerbHandlers } from '../control/verbs.js';
import { VpnError } from '../errors.js';
import type { BanTable } from './bans.js';
import type { Client, ClientTable, Session } from './clients.js';
import { stateText } from './main-client.machine.js';
import type { ServerStats } from './server-stats.js';
import type { Sessions } from './sessions.js';

export interface ControlDeps {
  readonly clients: ClientTable;
  readonly sessions: Sessions;
  readonly bans: BanTable;
  readonly stats: ServerStats;
  readonly secmod: { readonly pid: number | null };
  readonly pool: { readonly workers: number; readonly spares: number };
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** Begins the orderly end; returns at once. */
  readonly stop: () => void;
}

export function controlHandlers(deps: ControlDeps): VerbHandlers {
  const { clients, sessions, now } = deps;
  const disconnect = (found: readonly Client[]) => {
    for (const client of found) sessions.disconnect(client, 'server-disconnect');
    return { disconnected: found.length };
  };
  return {
    status: () => status(deps),
    users: () => [...clients.all()].map((client) => userData(client, now())),
    user: ({ name }) => ofUser(clients, name).map((client) => userData(client, now())),
    id: ({ id }) => [userData(ofId(clients, id), now())],
    'disconnect-user': ({ name }) => disconnect(ofUser(clients, name)),
    'disconnect-id': ({ id }) => disconnect([ofId(clients, id)]),
    stop: () => {
      deps.stop();
      return { stopping: true };
    },
  };
}

function ofUser(clients: ClientTable, name: string): Client[] {
  const found = [...clients.byUser(name)];
  if (found.length === 0) throw new VpnError('OCS_CTL_NOT_FOUND', { what: `User '${name}' was` });
  return found;
}

function ofId(clients: ClientTable, id: number): Client {
  const client = clients.byId(id);
  if (client === undefined) throw new VpnError('OCS_CTL_NOT_FOUND', { what: `Connection ID '${id}' was` });
  return client;
}

function status({ clients, bans, stats, secmod, pool, now }: ControlDeps): StatusData {
  const { period } = stats;
  return {
    status: 'online',
    pid: process.pid,
    secmodPid: secmod.pid,
    workers: pool.workers,
    spareWorkers: pool.spares,
    upSince: stats.startedAt,
    now: now(),
    activeSessions: clients.sessions,
    connections: clients.size,
    totalSessions: stats.totalSessions,
    totalAuthFailures: stats.totalAuthFailures,
    bannedIps: bans.bannedCount(),
    ipcViolations: stats.violations,
    period: {
      since: period.since,
      sessionsHandled: period.sessionsClosed,
      timedOutSessions: period.timedOut,
      timedOutIdleSessions: period.timedOutIdle,
      errorSessions: period.errors,
      authFailures: period.authFailures,
      averageAuthMs: stats.avgAuthTimeMs,
      maxAuthMs: stats.maxAuthTimeMs,
      averageSessionSec: period.sessionsClosed === 0 ? 0 : period.sessionSecTotal / period.sessionsClosed,
      maxSessionSec: period.sessionSecMax,
      minMtu: period.mtuMin,
      maxMtu: period.mtuMax,
      rxBytes: period.bytesIn,
      txBytes: period.bytesOut,
    },
  };
}

function userData(client: Client, now: number): UserData {
  return {
    id: client.id,
    workerPid: client.worker.pid,
    state: stateText[client.state],
    remoteIp: client.remote.address,
    localDeviceIp: client.local.address,
    connectedAt: client.session?.connectedAt ?? client.acceptedAt,
    now,
    session: client.session && sessionData(client.session),
  };
}

function sessionData(session: Session): SessionData {
  const { config, lease, counters } = session;
  return {
    userName: session.userName,
    groupName: session.groupName,
    vhost: session.vhost,
    device: session.tunName,
    mtu: session.mtu,
    ipv4: lease.ipv4?.address ?? null,
    ipv4Local: lease.ipv4?.local ?? null,
    ipv6: lease.ipv6?.address ?? null,
    ipv6Local: lease.ipv6?.local ?? null,
    userAgent: session.userAgent,
    hostname: session.hostname,
    rxBytes: counters.bytesIn,
    txBytes: counters.bytesOut,
    rxPackets: counters.packetsIn,
    txPackets: counters.packetsOut,
    rxLimit: config.rxBytesPerSec,
    txLimit: config.txBytesPerSec,
    dpdSec: config.dpdSec,
    keepaliveSec: config.keepaliveSec,
    startedAt: session.startedAt,
    safeId: session.safeId,
    tlsCiphersuite: session.tlsCipher,
    dtlsCipher: session.dtlsCipher,
    dtlsActive: session.dtlsActive,
    dns: config.dns,
    nbns: config.nbns,
    splitDns: config.splitDns,
    routes: config.routes,
    noRoutes: config.noRoutes,
    iroutes: config.iroutes,
    restrictedToRoutes: config.restrictUserToRoutes,
    restrictedToPorts: config.restrictUserToPorts,
  };
}
