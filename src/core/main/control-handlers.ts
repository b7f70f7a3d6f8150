/** What the control verbs do. */
import { isIP } from 'node:net';
import type {
  BanData,
  CookieData,
  EventData,
  SessionData,
  StatusData,
  UserData,
} from '../control/results.js';
import type { VerbHandlers } from '../control/verbs.js';
import { VpnError } from '../errors.js';
import type { BanTable } from './bans.js';
import type { Client, ClientTable, Session } from './clients.js';
import { stateText } from './main-client.machine.js';
import type { SecmodLink } from './secmod-link.js';
import type { ServerStats } from './server-stats.js';
import type { SessionEvent } from './session-event.js';
import type { Sessions } from './sessions.js';

export interface ControlDeps {
  readonly clients: ClientTable;
  readonly sessions: Sessions;
  readonly bans: BanTable;
  readonly stats: ServerStats;
  readonly secmod: Pick<SecmodLink, 'pid' | 'listCookies' | 'terminate'>;
  readonly pool: { readonly workers: number; readonly spares: number };
  /** Seconds since the epoch. */
  readonly now: () => number;
  readonly reload: () => Promise<{ needRestart: string[] }>;
  /** Begins the orderly end; returns at once. */
  readonly stop: () => void;
}

export function controlHandlers(deps: ControlDeps) {
  const { clients, sessions, secmod, bans, now } = deps;
  const disconnect = (found: Iterable<Client>): number => {
    let count = 0;
    for (const client of found) {
      sessions.disconnect(client, 'server-disconnect');
      count++;
    }
    return count;
  };
  const cookies = async (): Promise<CookieData[]> =>
    (await secmod.listCookies()).map(({ status: state, ...cookie }) => ({ ...cookie, state, now: now() }));
  const terminateSession = async (safeId: string) => {
    const terminated = await secmod.terminate({ safeId });
    const disconnected = disconnect([...clients.all()].filter(({ session }) => session?.safeId === safeId));
    sessions.invalidated({ safeId });
    return { terminated, disconnected };
  };
  return {
    status: () => status(deps),
    users: () => [...clients.all()].map((client) => userData(client, now())),
    user: ({ name }) => ofUser(clients, name).map((client) => userData(client, now())),
    id: ({ id }) => [userData(ofId(clients, id), now())],
    sessions: cookies,
    session: async ({ id }) => [onlySession(await cookies(), id)],
    bans: () => bans.list().map((entry): BanData => ({ ...entry, now: now() })),
    'disconnect-user': ({ name }) => ({ disconnected: disconnect(ofUser(clients, name)) }),
    'disconnect-id': ({ id }) => ({ disconnected: disconnect([ofId(clients, id)]) }),
    'terminate-user': async ({ name }) => {
      const terminated = await secmod.terminate({ userName: name });
      const disconnected = disconnect([...clients.byUser(name)]);
      sessions.invalidated({ userName: name });
      if (terminated + disconnected === 0) throw notFound(`User '${name}' was`, 'sessions');
      return { terminated, disconnected };
    },
    'terminate-id': ({ id }) => {
      const { session } = ofId(clients, id);
      if (session === null) throw notFound(`A session of connection ID '${id}' was`);
      return terminateSession(session.safeId);
    },
    'terminate-session': async ({ id }) => terminateSession(onlySession(await cookies(), id).safeId),
    'unban-ip': ({ ip }) => {
      if (isIP(ip) === 0) throw new RangeError(`"${ip}" is not an IP address`);
      return { unbanned: bans.unban(ip) };
    },
    reload: deps.reload,
    stop: () => {
      deps.stop();
      return { stopping: true };
    },
  } satisfies VerbHandlers;
}

/** The session with this id, or the one whose id starts with it. */
function onlySession(all: readonly CookieData[], id: string): CookieData {
  const found = all.filter(({ safeId }) => id !== '' && safeId.startsWith(id));
  const [first] = found;
  if (first === undefined) throw notFound(`Session '${id}' was`, 'sessions');
  if (found.length > 1) {
    throw new VpnError('OCS_CTL_AMBIGUOUS', { id, found: found.map(({ safeId }) => safeId).join(', ') });
  }
  return first;
}

/** `list`: the command that shows those that there are. */
const notFound = (what: string, list = 'users'): VpnError =>
  new VpnError('OCS_CTL_NOT_FOUND', { what, list });

/** A line of the event stream. */
export function eventData({ type, client, reason, time }: SessionEvent): EventData {
  return { type, time, reason, user: userData(client, time) };
}

function ofUser(clients: ClientTable, name: string): Client[] {
  const found = [...clients.byUser(name)];
  if (found.length === 0) throw notFound(`User '${name}' was`);
  return found;
}

function ofId(clients: ClientTable, id: number): Client {
  const client = clients.byId(id);
  if (client === undefined) throw notFound(`Connection ID '${id}' was`);
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
    secmodEntries: stats.clientEntries,
    tlsDbEntries: stats.tlsDbEntries,
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
    workerPid: client.session?.pid || client.worker.pid,
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
    cstpCompression: session.cstpCompression,
    dtlsCompression: session.dtlsCompression,
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
