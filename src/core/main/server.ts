/**
 * The main process: puts the parts together, starts them in order and ends them in order.
 *
 *   TcpListener → Acceptor (bans, limit) → WorkerPool → WorkerLink → Sessions ⇄ SecmodLink
 *   UdpListener → UdpDispatch → WorkerLink
 *   ControlServer → controlHandlers → Sessions
 */
import { createSecretKey, randomBytes } from 'node:crypto';
import { chownSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { History } from '../history/history.js';
import type { IpcListener } from '../ipc/api.js';
import type { Logger } from '../log.js';
import type { NativeIo } from '../native/types.js';
import type { PassedSockets } from '../service/listen-fds.js';
import type { ServiceNotifier } from '../service/notify.js';
import type { Identity } from '../util/identity.js';
import type { Acceptor } from './acceptor.js';
import type { BanTable } from './bans.js';
import { startWorker } from './child.js';
import { ClientTable } from './clients.js';
import { ControlSockets } from './control-sockets.js';
import { EventFeed } from './event-feed.js';
import { FirstBytes } from './first-bytes.js';
import { ForeignAddresses } from './foreign-addresses.js';
import { FrontDoor } from './front-door.js';
import { historyRow, openHistory, recordChanged } from './history-row.js';
import type { Ipc } from './ipc.js';
import { LeasePing } from './lease-ping.js';
import { LeaseTable } from './leases.js';
import { LoginRecords } from './login-records.js';
import { MainState } from './main-state.js';
import type { MetricsEndpoint } from './metrics/endpoint.js';
import { serveMetrics } from './metrics/serve.js';
import { Nat } from './nat-service.js';
import { socketsIn } from './netns.js';
import type { RunPaths } from './paths.js';
import { PidFile } from './pid-file.js';
import { ProxyReader } from './proxy-reader.js';
import { Reloader, type ReloadResult } from './reloader.js';
import { Reservations } from './reservations.js';
import { Resumption } from './resume.js';
import { refuseIfLive } from './run-dir.js';
import { runningAcceptor } from './running-acceptor.js';
import { runningBans } from './running-bans.js';
import { RunningConfig } from './running-config.js';
import { SecmodLink } from './secmod-link.js';
import { ServerStats } from './server-stats.js';
import { SessionHooks } from './session-hooks.js';
import { Sessions } from './sessions.js';
import { Tickets } from './tickets.js';
import { UdpDispatch } from './udp-dispatch.js';
import { WorkerPool } from './worker-pool.js';

const ROOT_GROUP = 0;
const MAINTENANCE_MS = 60_000;
/** Time beyond auth-timeout that a worker has to end a login itself. */
const AUTH_GRACE_SEC = 30;
/** From TERMINATE to the last CLIENT_CLOSED. */
const CLOSING_LIMIT_MS = 5000;

export interface ServerOptions {
  readonly config: ServerConfig;
  /** Reads the configuration anew, for a reload. */
  readonly readConfig: () => ServerConfig;
  readonly paths: RunPaths;
  readonly identity: Identity;
  /** control-group */
  readonly controlGid: number | null;
  readonly log: Logger;
  readonly io: NativeIo;
  readonly ipc: Ipc;
  /** Arguments of `vpn` that start secmod; null with --no-secmod. */
  readonly secmodCommand: readonly string[] | null;
  /** Sockets that a service manager opened. */
  readonly passed: PassedSockets;
  readonly service: Pick<ServiceNotifier, 'reloading' | 'ready'>;
  /** False with --no-workers. */
  readonly startWorkers: boolean;
  readonly historyFile: string;
  /** A sentence for the administrator that does not stop the server. */
  readonly notice: (error: VpnError) => void;
  /** Tunnels can have IPv6 addresses. */
  readonly ipv6: boolean;
  /** The TCP and UDP sockets are bound; the rest is about to start. */
  readonly onListening?: (() => void) | undefined;
  /** `vpn ctl stop` */
  readonly onStopRequest: () => void;
}

const nowSec = (): number => Math.floor(Date.now() / 1000);
const nowMs = (): number => performance.now();

export class Server {
  readonly #options: ServerOptions;
  readonly #running: RunningConfig;
  readonly #reloader: Reloader;
  readonly #hooks: SessionHooks;
  readonly #proxy: ProxyReader;
  readonly #firstBytes: FirstBytes;
  readonly #events = new EventFeed();
  readonly #state: MainState;
  readonly #clients: ClientTable;
  readonly #stats: ServerStats;
  readonly #reservations: Reservations;
  readonly #bans: BanTable;
  readonly #secmod: SecmodLink;
  readonly #sessions: Sessions;
  readonly #pool: WorkerPool;
  readonly #acceptor: Acceptor;
  readonly #udp: UdpDispatch;
  readonly #nat: Nat;
  readonly #door = new FrontDoor();
  #ipcListener: IpcListener | null = null;
  #control: ControlSockets | null = null;
  #metrics: MetricsEndpoint | null = null;
  readonly #pidFile: PidFile;
  #history: History | null = null;
  #maintenance: NodeJS.Timeout | null = null;
  #emptied: (() => void) | null = null;
  readonly #started = Promise.withResolvers<void>();

  constructor(options: ServerOptions) {
    this.#options = options;
    const { config, identity, log, io, paths } = options;
    const running = new RunningConfig(config);
    this.#running = running;
    const hmacKey = randomBytes(32);
    this.#state = new MainState(paths.state, log);
    this.#clients = new ClientTable(this.#state.nextHandle);
    this.#stats = new ServerStats(nowSec(), this.#state.savedStats);
    const common = { log, clients: this.#clients, stats: this.#stats, now: nowSec };
    // Options that a reload may change are read anew at each use.
    this.#bans = runningBans({ running, stats: this.#stats, state: this.#state, log, now: nowSec, nowMs });
    this.#secmod = new SecmodLink({
      path: paths.secmod,
      command: options.secmodCommand,
      hmacKey,
      workerUid: identity.uid,
      log,
      bans: this.#bans,
      stats: this.#stats,
      endSession: (safeId, reconnect) => this.#sessions.endSession(safeId, reconnect),
      connect: options.ipc.connect,
      onUp: () => resumption.presentAll(),
    });
    this.#hooks = new SessionHooks({
      settings: () => running.main,
      log,
      logins: new LoginRecords({ io, log, now: nowSec, wanted: () => running.main['use-utmp'] }),
      firewallScript: process.env.OCSERV_FW_SCRIPT ?? '',
    });
    const foreign = new ForeignAddresses(config.default.device);
    const ping = new LeasePing(log, nowMs);
    const taken = (address: string) => foreign.has(address) || ping.has(address);
    const leases = new LeaseTable({ taken, ipv6: options.ipv6 });
    this.#reservations = new Reservations(leases);
    const addresses = { leases, reservations: this.#reservations };
    const tickets = new Tickets(this.#state.ticketKey);
    this.#sessions = new Sessions({
      ...common,
      ...addresses,
      io,
      tickets,
      cookieTimeoutSec: config.default['cookie-timeout'],
      record: (client, reason) => this.#history?.put(historyRow(client, reason, nowSec())),
      bans: this.#bans,
      secmod: this.#secmod,
      hooks: this.#hooks,
      get ping() {
        return running.main['ping-leases'] ? ping : null;
      },
      onEvent: (event) => this.#events.publish(event),
      get device() {
        return running.main.device;
      },
      workerUid: identity.uid,
      get offload() {
        return running.main.offload;
      },
      udpPort: config.default['udp-port'],
      get connectionPoints() {
        return running.main['ban-points-connection'];
      },
      onClosed: () => this.#onClosed(),
    });
    const resumption = new Resumption({
      ...common,
      ...addresses,
      sessions: this.#sessions,
      secmod: this.#secmod,
      tickets,
    });
    this.#pool = new WorkerPool({
      log,
      sessions: this.#sessions,
      resumption,
      bans: this.#bans,
      settings: config.default,
      spare: config.default['spare-workers'],
      startWorker: options.startWorkers ? () => startWorker(paths.main, config.default['log-level']) : null,
      workerUid: identity.uid,
      workerConfig: () => ({ json: running.forWorkers(identity), secmodPath: paths.secmod }),
      acceptor: () => this.#acceptor,
      closeFd: (fd) => io.close(fd),
      hungUp: (fd) => io.hungUp(fd),
      stats: this.#stats,
    });
    this.#proxy = new ProxyReader({ io, log, onConnection: (accepted) => this.#acceptor.admit(accepted) });
    this.#firstBytes = new FirstBytes({
      io,
      log,
      get limitSec() {
        return running.main['auth-timeout'];
      },
    });
    this.#acceptor = runningAcceptor({
      ...common,
      running,
      bans: this.#bans,
      hmacKey: createSecretKey(hmacKey),
      proxy: this.#proxy,
      firstBytes: this.#firstBytes,
      endLogin: (client) => this.#sessions.endLogin(client),
      closeFd: (fd) => io.close(fd),
      assign: (connection) => this.#pool.assign(connection),
      waiting: () => this.#pool.waiting,
      setPaused: (paused) => this.#door.setPaused(paused),
    });
    this.#reloader = new Reloader({
      running,
      read: options.readConfig,
      secmod: this.#secmod,
      apply: () => this.#applyConfig(),
      notice: options.notice,
      log,
    });
    this.#udp = new UdpDispatch({
      io: socketsIn(io, config.default['listen-netns']),
      clients: this.#clients,
      log,
      nowMs,
      allowZeroRandom: process.env.OCSERV_ALLOW_BROKEN_CLIENTS === '1',
    });
    this.#pidFile = new PidFile(config.default['pid-file']);
    this.#nat = new Nat({ config, runDir: paths.runDir, notice: options.notice, log });
  }

  /** Addresses that are bound. */
  get bound(): FrontDoor['bound'] {
    return this.#door.bound;
  }

  get natOn(): boolean {
    return this.#nat.on;
  }

  /** Resolves when connections are accepted and a worker is ready for them. Call stop() also when it rejects. */
  async start(): Promise<void> {
    this.#history = openHistory(this.#options);
    this.#claimRunDir();
    // Before anything that others wait for: whoever sees a port open can ask.
    this.#openControl();
    await this.#door.open({
      ...this.#options,
      onAccept: (accepted) => this.#acceptor.accept(accepted),
      onDatagram: (datagram) => void this.#udp.handle(datagram),
    });
    this.#pidFile.write();
    this.#options.onListening?.();
    await this.#hooks.start();
    await this.#secmod.start();
    this.#reservations.restoreAll(await this.#secmod.leases());
    await this.#nat.start();
    await this.#pool.start();
    this.#metrics = await serveMetrics(this.#running, this.#options.log, this.#parts());
    this.#reloader.watchKeys();
    this.#maintenance = setInterval(() => this.#maintain(), MAINTENANCE_MS);
    this.#door.setPaused(false);
    this.#started.resolve();
  }

  /** Reads the configuration again, once it has started. Rejects with OCS_RELOAD; everything stays as it was then. */
  async reload(): Promise<ReloadResult> {
    await this.#started.promise;
    this.#options.service.reloading();
    try {
      return await this.#reloader.reload();
    } finally {
      this.#options.service.ready();
    }
  }

  /** The orderly end: no new connections, server-drain-ms, sessions closed, processes ended, nothing left behind. */
  async stop(): Promise<void> {
    const { log } = this.#options;
    this.#reloader.stop();
    this.#acceptor.close();
    this.#door.closeTcp();
    this.#proxy.close();
    this.#firstBytes.close();
    await this.#drain(this.#running.main['server-drain-ms']);
    if (this.#maintenance) clearInterval(this.#maintenance);
    for (const client of this.#clients.all()) this.#sessions.disconnect(client, 'server-disconnect');
    await this.#empty(CLOSING_LIMIT_MS);
    if (this.#clients.size > 0)
      log.warn({ clients: this.#clients.size }, 'clients that did not end are cut off');
    await this.#pool.stop();
    await this.#hooks.idle();
    await this.#secmod.stop();
    this.#state.remove();
    this.#history?.close();
    await this.#nat.stop();
    this.#closeSockets();
  }

  /**
   * The end of this process alone: workers, secmod and NAT stay for the next `vpn serve` on this run directory, and no
   * tunnel notices.
   */
  leave(): void {
    if (this.#maintenance) clearInterval(this.#maintenance);
    this.#state.flush();
    recordChanged(this.#history, this.#sessions.reports.takeChanged());
    this.#history?.close();
    this.#history = null;
    this.#pool.leave();
    this.#secmod.leave();
    this.#closeSockets();
  }

  /** The end without patience: children are killed, traces removed. */
  async kill(): Promise<void> {
    this.#pool.kill();
    this.#secmod.kill();
    this.#state.remove();
    await this.#nat.stop();
    this.#closeSockets();
  }

  #closeSockets(): void {
    this.#door.close();
    this.#control?.close();
    this.#control = null;
    this.#metrics?.close();
    this.#metrics = null;
    this.#pidFile.remove();
    this.#ipcListener?.close();
    this.#ipcListener = null;
  }

  /** The socket for workers is also the sign that this run directory is in use. */
  #claimRunDir(): void {
    const { io, ipc, log, paths, identity } = this.#options;
    refuseIfLive(io, paths);
    this.#state.open({ stats: () => this.#stats.snapshot(), bans: () => this.#bans.snapshot() });
    this.#ipcListener = ipc.listen({
      path: paths.main,
      mode: this.#options.startWorkers ? 0o660 : 0o666,
      self: 'main',
      log,
      knows: ({ uid }) => uid === 0 || uid === identity.uid,
      accept: (role, credentials) => (role === 'worker' ? this.#pool.accept(credentials) : null),
      onChannel: (channel) => this.#pool.onChannel(channel),
    });
    // Workers of an earlier main have given up root; new ones may be root without the right to pass over modes.
    if (this.#options.startWorkers) chownSync(paths.main, identity.uid, ROOT_GROUP);
  }

  /** What is counted and shown. */
  #parts() {
    return {
      clients: this.#clients,
      bans: this.#bans,
      stats: this.#stats,
      secmod: this.#secmod,
      pool: this.#pool,
    };
  }

  #openControl(): void {
    this.#control = new ControlSockets({
      ...this.#options,
      events: this.#events,
      deps: {
        ...this.#parts(),
        sessions: this.#sessions,
        now: nowSec,
        reload: () => this.reload(),
        stop: this.#options.onStopRequest,
      },
    });
    this.#control.useOcctl(this.#running.main['use-occtl']);
  }

  /** What keeps something of the configuration gets the new one. */
  async #applyConfig(): Promise<void> {
    this.#pool.reconfigure();
    this.#control?.useOcctl(this.#running.main['use-occtl']);
    this.#acceptor.released();
    try {
      await this.#nat.reload(this.#running.current);
    } catch (error) {
      this.#options.notice(
        new VpnError('OCS_NO_NFT', { reason: (error as Error).message }, { cause: error }),
      );
    }
  }

  #onClosed(): void {
    this.#acceptor.released();
    this.#state.touch();
    if (this.#clients.size === 0) this.#emptied?.();
  }

  async #drain(milliseconds: number): Promise<void> {
    if (milliseconds === 0 || this.#clients.size === 0) return;
    this.#options.log.info({ clients: this.#clients.size, milliseconds }, 'waiting for clients to leave');
    await this.#empty(milliseconds);
  }

  /** Until there is no client, at most so long. */
  async #empty(milliseconds: number): Promise<void> {
    if (this.#clients.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    const limit = new AbortController();
    await Promise.race([empty, sleep(milliseconds, null, { signal: limit.signal }).catch(() => null)]);
    limit.abort();
    this.#emptied = null;
  }

  #maintain(): void {
    this.#bans.expire();
    this.#reservations.expire(nowSec());
    this.#state.touch();
    recordChanged(this.#history, this.#sessions.reports.takeChanged());
    this.#stats.resetPeriodAfter(this.#running.main['server-stats-reset-time'], nowSec());
    const oldest = nowSec() - this.#running.main['auth-timeout'] - AUTH_GRACE_SEC;
    for (let client = this.#clients.oldestPending; client; client = this.#clients.oldestPending) {
      if (client.acceptedAt > oldest) break;
      this.#options.log.warn({ client: client.id, ip: client.remote.address }, 'login takes too long; ended');
      this.#clients.setLeaving(client);
      this.#sessions.endLogin(client);
    }
  }
}
