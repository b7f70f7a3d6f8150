/**
 * secmod without its process: what it keeps, who may talk to it, and its handlers. It holds the private keys, the
 * back ends and the sessions; it survives main, and waits for the next one.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import type { ServerConfig } from '../config/schema.js';
import type { ChannelOptions } from '../ipc/api.js';
import type { Logger } from '../log.js';
import type { PeerCredentials } from '../native/types.js';
import type { AccountedSession, SessionSettings } from '../plugin-api/index.js';
import { KdcRelay } from './kdc-relay.js';
import { LoginPace } from './login-pace.js';
import { type MainChannel, mainHandlers } from './main-handlers.js';
import { Sessions } from './sessions.js';
import type { StateStore } from './state-store.js';
import { LoginStatistics } from './statistics.js';
import type { Vhosts } from './vhosts.js';
import { workerHandlers } from './worker-handlers.js';
import { WorkerLogins, type WorkerLoginsDeps } from './worker-logins.js';

export interface SecmodOptions {
  readonly vhosts: Vhosts;
  readonly store: StateStore;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Reads the configuration again, for SECM_RELOAD. */
  readonly readConfig: () => ServerConfig | Promise<ServerConfig>;
  /** uid of this process. */
  readonly ownUid: number;
}

export type AnyChannelOptions = ChannelOptions<'secmod', 'main'> | ChannelOptions<'secmod', 'worker'>;

/** How long a login waits for main's word on a ban. */
const BAN_REPLY_MS = 2000;
/** How long the end of a session waits for main. */
const END_REPLY_MS = 5000;

export class Secmod {
  readonly vhosts: Vhosts;
  readonly sessions: Sessions;
  readonly statistics = new LoginStatistics();
  readonly #pace: LoginPace;
  readonly log: Logger;
  readonly kdcs: KdcRelay;
  readonly #options: SecmodOptions;
  readonly #workers = new Set<WorkerLogins>();
  #main: MainChannel | null = null;
  #hmacKey: KeyObject | null = null;
  #workerUid: number | null = null;
  /** Figures that this main knows. */
  #reported = '';

  constructor(options: SecmodOptions) {
    this.#options = options;
    this.vhosts = options.vhosts;
    this.log = options.log;
    this.kdcs = new KdcRelay(options.log);
    this.sessions = new Sessions({
      store: options.store,
      now: () => Math.floor(options.nowMs() / 1000),
      vhost: (name) => this.vhosts.get(name)?.config,
      iroutes: (name) => this.vhosts.get(name)?.iroutes ?? new Map(),
      accounting: (name) => this.vhosts.get(name)?.accounting ?? null,
      log: options.log,
    });
    this.#pace = new LoginPace({
      tries: () => this.vhosts.config.default['wrong-password-tries'],
      intervalMs: () => this.vhosts.config.default['wrong-password-interval'] * 1000,
      nowMs: options.nowMs,
      onWait: () => this.statistics.delayed(),
      log: options.log,
    });
    this.statistics.onSteps = (steps) => this.#main?.sendLater('SECM_LOGIN_STEPS', { steps });
    this.vhosts.endSessions = (vhost, matches) => this.#endSessions(vhost, matches);
    this.vhosts.changeSessions = (vhost, matches, change) => this.#changeSessions(vhost, matches, change);
  }

  /** For an accounting back end: ends its sessions, by main while their tunnels are open. */
  async #endSessions(vhost: string, matches: (session: AccountedSession) => boolean): Promise<number> {
    const doomed = await this.sessions.openOnes(vhost, matches);
    for (const { safeId } of doomed) {
      const asked = await this.#endTunnels(safeId, false);
      const lingers = this.vhosts.get(vhost)?.config['persistent-cookies'] === true;
      // The end of its last tunnel ends the session, with the final counts.
      if (!asked?.body.count || lingers) await this.sessions.terminate((each) => each.safeId === safeId);
    }
    return doomed.length;
  }

  /** Whether this user may connect at all: root, our own user and that of workers. */
  knows({ uid }: PeerCredentials): boolean {
    return uid === 0 || uid === this.#options.ownUid || uid === this.#workerUid;
  }

  /** For an accounting back end: the tunnels of a session only take what has changed when they are opened. */
  async #changeSessions(
    vhost: string,
    matches: (session: AccountedSession) => boolean,
    change: SessionSettings,
  ): Promise<number> {
    const changed = await this.sessions.change(vhost, matches, change);
    for (const { safeId } of changed) await this.#endTunnels(safeId, true);
    return changed.length;
  }

  #endTunnels(safeId: string, reconnect: boolean) {
    return this.#main?.call('SECM_END_SESSION', { safeId, reconnect }, { timeoutMs: END_REPLY_MS });
  }

  /** Who may connect: main as root or as our own user; workers as the user that main named, too. null refuses. */
  accept(role: 'main' | 'worker', { uid, pid, gid }: PeerCredentials): AnyChannelOptions | null {
    const trusted = uid === 0 || uid === this.#options.ownUid;
    if (role === 'main') return trusted ? this.#mainOptions() : null;
    return this.knows({ uid, pid, gid }) ? this.#workerOptions(pid) : null;
  }

  /** SECM_STARTUP. Whoever connects presents all tunnels anew, a main whose connection had broken too. */
  async startup(main: MainChannel, hmacKey: Uint8Array, workerUid: number): Promise<void> {
    this.#hmacKey = createSecretKey(hmacKey);
    this.#workerUid = workerUid;
    const previous = this.#main;
    this.#main = main;
    this.#reported = '';
    if (previous && previous !== main) previous.close();
    await this.sessions.forgetTunnels();
    for (const session of await this.sessions.store.list())
      if (session.status === 'COMPLETED') this.#pace.know(session);
    this.log.info({ mainPid: main.credentials.pid, vhosts: this.vhosts.names }, 'main connected');
  }

  /** SECM_RELOAD. Throws errors of the catalogue; everything then stays as it was. */
  async reload(): Promise<void> {
    await this.vhosts.reload(await this.#options.readConfig(), this.#options.nowMs());
    this.log.info({ vhosts: this.vhosts.names }, 'configuration and keys read again');
  }

  /** SECM_RELOAD for changed key files: the configuration in force stays. */
  async reloadKeys(): Promise<void> {
    await this.vhosts.reload(this.vhosts.config, this.#options.nowMs());
    this.log.info('keys read again');
  }

  /** Ends logins and sessions whose time is over, and forgets keys that were replaced. */
  async expire(): Promise<void> {
    for (const logins of this.#workers) logins.expire();
    this.#pace.expire();
    this.vhosts.expire(this.#options.nowMs());
    await this.sessions.expire();
  }

  /** Tells main the figures for `show status`, when they have changed, and what back ends have done since. */
  async report(): Promise<void> {
    this.statistics.tellSteps();
    if (!this.#main) return;
    const clientEntries = await this.sessions.store.size();
    const figures = { clientEntries, tlsDbEntries: 0, ...this.statistics.take() };
    const text = JSON.stringify(figures);
    // They are counted since the last report: as many again are news.
    const news = figures.authFailures + figures.delayedLogins + figures.ipcViolations > 0;
    if (text !== this.#reported || news) this.#main?.send('SECM_STATS', figures);
    this.#reported = text;
  }

  async close(): Promise<void> {
    this.statistics.tellSteps();
    const main = this.#main;
    // Its end is no news any more.
    this.#main = null;
    main?.close();
    this.kdcs.close();
    await Promise.all([...this.#workers].map((logins) => logins.close()));
    await this.sessions.endAccounting();
    await this.vhosts.close();
  }

  #mainOptions(): ChannelOptions<'secmod', 'main'> {
    return {
      self: 'secmod',
      peer: 'main',
      handlers: mainHandlers(this),
      log: this.log,
      onClose: (channel) => {
        if (this.#main !== channel) return;
        this.#main = null;
        this.log.warn('main is gone; keeping the sessions for the next one');
      },
    };
  }

  #workerOptions(pid: number): ChannelOptions<'secmod', 'worker'> {
    // Twice the clients that the worker may serve: those that leave and those that come, and some spare.
    const capacity = 2 * this.vhosts.config.default['worker-clients'] + 16;
    const logins = new WorkerLogins(this.#loginDeps(pid), capacity);
    this.#workers.add(logins);
    return {
      self: 'secmod',
      peer: 'worker',
      handlers: workerHandlers(this, logins),
      log: this.log,
      stateOf: (client) => logins.stateOf(client),
      onClose: (_channel, violation) => {
        if (violation) this.statistics.violated();
        this.#workers.delete(logins);
        logins
          .close()
          .catch((error: unknown) => this.log.error({ err: error }, 'logins of a worker not ended'));
      },
    };
  }

  #loginDeps(workerPid: number): WorkerLoginsDeps {
    return {
      store: this.sessions.store,
      statistics: this.statistics,
      log: this.log.child({ workerPid }),
      nowMs: this.#options.nowMs,
      vhost: (name) => this.vhosts.get(name),
      hmacKey: () => this.#hmacKey,
      ban: (ip) => this.#ban(ip),
      pace: this.#pace,
    };
  }

  /** Adds the points of a wrong password. Without main there are no bans: the login then counts its tries alone. */
  async #ban(ip: string): Promise<boolean> {
    const score = this.vhosts.config.default['ban-points-wrong-password'];
    if (!this.#main || score === 0) return true;
    try {
      const { body } = await this.#main.call('SECM_BAN_IP', { ip, score }, { timeoutMs: BAN_REPLY_MS });
      return body.allowed;
    } catch (error) {
      this.log.warn({ ip, err: error }, 'main did not take ban points');
      return true;
    }
  }
}
