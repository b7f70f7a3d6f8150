/**
 * main's connection to secmod, for the whole life of the server: starts the process (or takes over the one that an
 * earlier main left behind), greets it, and starts it again when it dies. Tunnels do not notice; what was asked
 * meanwhile waits for the next one.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { VpnError } from '../errors.js';
import type { Channel, ChannelOptions, Handlers } from '../ipc/api.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import { safeIdOf } from '../util/safe-id.js';
import type { BanTable } from './bans.js';
import { backoffMs, type Child, describeExit, endChild, roleCommand, startRole } from './child.js';
import type { SecmodCalls } from './secmod-calls.js';
import type { ServerStats } from './server-stats.js';

type SecmodChannel = Channel<'main', 'secmod'>;

/** From start to the answer to SECM_STARTUP: keys and back ends are loaded in between. */
const START_LIMIT_MS = 30_000;
const CONNECT_RETRY_MS = 20;
/** How long a request waits for a secmod that is being started again. */
const OUTAGE_PATIENCE_MS = 10_000;
const GRACE_MS = 3000;
const CLOSE_ATTEMPTS = 3;

export interface SecmodLinkOptions {
  readonly path: string;
  /** Arguments of `vpn` that start it; null: it runs by itself (--no-secmod). */
  readonly command: readonly string[] | null;
  /** Key of the WORKER_STARTUP HMACs; the same for every secmod of this main. */
  readonly hmacKey: Uint8Array;
  readonly workerUid: number;
  readonly log: Logger;
  readonly bans: BanTable;
  readonly stats: ServerStats;
  /** Ends the tunnels of a session; returns their number. */
  readonly endSession: (safeId: string, reconnect: boolean) => number;
  readonly connect: (path: string, options: ChannelOptions<'main', 'secmod'>) => Promise<SecmodChannel>;
  /** A secmod has come up that knows of no open tunnel: time to present them all. */
  readonly onUp: () => void;
}

export class SecmodLink implements SecmodCalls {
  readonly #options: SecmodLinkOptions;
  readonly #pending = new Set<Promise<unknown>>();
  #child: Child | null = null;
  #up = Promise.withResolvers<SecmodChannel>();
  #current: SecmodChannel | null = null;
  #stopping = false;

  constructor(options: SecmodLinkOptions) {
    this.#options = options;
  }

  /** Process id of the secmod in use, null while there is none. */
  get pid(): number | null {
    return this.#current?.credentials.pid ?? null;
  }

  /** Resolves when secmod is ready. Rejects with OCS_SECMOD_START (its own words are on stderr) or OCS_SECMOD_ABSENT. */
  async start(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      if (error instanceof VpnError && error.code === 'OCS_SECMOD_ABSENT') throw error;
      throw new VpnError('OCS_SECMOD_START', { detail: messageOf(error) }, { cause: error });
    }
  }

  async openSession(body: Body<'SECM_SESSION_OPEN'>): Promise<Body<'SECM_SESSION_REPLY'>> {
    const channel = await this.#channel();
    return (await channel.call('SECM_SESSION_OPEN', body)).body;
  }

  async resumeSession(body: Body<'SECM_SESSION_RESUME'>): Promise<Body<'SECM_SESSION_REPLY'> | null> {
    // Sending wipes it.
    const session = safeIdOf(body.sid);
    try {
      return this.#current && (await this.#current.call('SECM_SESSION_RESUME', body)).body;
    } catch (error) {
      this.#options.log.warn(
        { client: body.client, session, err: error },
        'secmod did not take a session back',
      );
      return null;
    }
  }

  /** Leases of sessions whose cookies are good. */
  async leases(): Promise<Body<'SECM_LIST_LEASES_REPLY'>['leases']> {
    const channel = await this.#channel();
    return (await channel.call('SECM_LIST_LEASES', {})).body.leases;
  }

  closeSession(body: Body<'SECM_SESSION_CLOSE'>): Promise<Body<'SECM_CLI_STATS'> | null> {
    const done = this.#close(body).finally(() => this.#pending.delete(done));
    this.#pending.add(done);
    return done;
  }

  /** A secmod that dies over the message has not ended the session: the next one is told. */
  async #close(body: Body<'SECM_SESSION_CLOSE'>): Promise<Body<'SECM_CLI_STATS'> | null> {
    for (let attempt = 1; ; attempt++) {
      try {
        const channel = await this.#channel();
        // A copy: the channel wipes secret fields after it sent them.
        return (await channel.call('SECM_SESSION_CLOSE', { ...body, sid: Uint8Array.from(body.sid) })).body;
      } catch (error) {
        const again = error instanceof VpnError && error.code === 'OCS_IPC_CLOSED';
        if (again && attempt < CLOSE_ATTEMPTS && !this.#stopping) continue;
        this.#options.log.warn(
          { session: safeIdOf(body.sid), err: error },
          'secmod was not told that a session closed',
        );
        return null;
      }
    }
  }

  /** Sessions that secmod knows, with those that have no tunnel. */
  async listCookies(): Promise<Body<'SECM_LIST_COOKIES_REPLY'>['cookies']> {
    const channel = await this.#channel();
    return (await channel.call('SECM_LIST_COOKIES', {})).body.cookies;
  }

  /** Deletes all sessions of a user, or one; returns how many there were. */
  async terminate(which: { readonly userName: string } | { readonly safeId: string }): Promise<number> {
    const channel = await this.#channel();
    const { body } =
      'userName' in which
        ? await channel.call('SECM_TERMINATE_USER_SESSIONS', which)
        : await channel.call('SECM_TERMINATE_SESSION', which);
    return body.count;
  }

  /** SECM_RELOAD. Throws OCS_RELOAD with secmod's reason; everything stays as it was then. */
  async reload(keysOnly: boolean): Promise<void> {
    const { ok, reason } = await askToReload(await this.#channel(), keysOnly);
    if (!ok) throw new VpnError('OCS_RELOAD', { detail: reason });
  }

  sessionAddresses(body: Body<'SECM_SESSION_ADDRESSES'>): void {
    this.#current?.sendLater('SECM_SESSION_ADDRESSES', body);
  }

  /** Waits for the closing messages under way, then ends a secmod that is ours. */
  async stop(): Promise<void> {
    if (this.#current !== null)
      await Promise.race([Promise.all(this.#pending), sleep(GRACE_MS, null, { ref: false })]);
    this.#stopping = true;
    const adopted = this.#child === null ? this.#ownPid() : null;
    // Told before the connection ends, a secmod of ours knows that it is not left behind.
    if (this.#child) await endChild(this.#child, GRACE_MS);
    else if (adopted !== null) await endProcess(adopted, GRACE_MS);
    this.#current?.close();
  }

  /** For a main that comes after this one: secmod stays. */
  leave(): void {
    this.#stopping = true;
    this.#current?.close();
  }

  /** SIGKILL, without waiting. */
  kill(): void {
    this.#stopping = true;
    this.#child?.kill('SIGKILL');
    const adopted = this.#child === null ? this.#ownPid() : null;
    if (adopted !== null) signalIfThere(adopted, 'SIGKILL');
  }

  /** The process in use if it runs on our command line, whoever started it. */
  #ownPid(): number | null {
    const { pid } = this;
    return pid !== null && this.#options.command !== null && runsAs(pid, this.#options.command) ? pid : null;
  }

  async #channel(): Promise<SecmodChannel> {
    if (this.#current) return this.#current;
    const timeout = sleep(OUTAGE_PATIENCE_MS, null, { ref: false });
    const channel = await Promise.race([this.#up.promise, timeout]);
    if (channel === null) throw new VpnError('OCS_IPC_CLOSED', { peer: 'secmod' });
    return channel;
  }

  async #open(): Promise<void> {
    const channel = (await this.#takeOver()) ?? (await this.#startAndConnect());
    try {
      await this.#greet(channel);
    } catch (error) {
      channel.close();
      throw error;
    }
    this.#current = channel;
    this.#options.onUp();
    this.#up.resolve(channel);
    this.#options.log.debug({ secmod: channel.credentials.pid }, 'secmod is ready');
  }

  async #greet(channel: SecmodChannel): Promise<void> {
    const { hmacKey, workerUid } = this.#options;
    // A copy: the channel wipes secret fields after it sent them.
    await channel.call(
      'SECM_STARTUP',
      { hmacKey: Uint8Array.from(hmacKey), workerUid },
      { timeoutMs: START_LIMIT_MS },
    );
  }

  /**
   * A secmod that an earlier main left behind holds the sessions of clients that want to come back: with the
   * same command line it is used again, with the configuration read anew; another one is ended.
   */
  async #takeOver(): Promise<SecmodChannel | null> {
    const { command, log } = this.#options;
    const channel = await this.#tryConnect();
    if (channel === null || command === null) return channel;
    const { pid } = channel.credentials;
    if (runsAs(pid, command)) {
      const { ok, reason } = await askToReload(channel, false);
      if (ok) {
        log.info({ secmod: pid }, 'took over the secmod that an earlier server left running');
        return channel;
      }
      log.warn({ secmod: pid, reason }, 'the secmod that was left running cannot reload; it is replaced');
    } else log.warn({ secmod: pid }, 'a secmod with another command line was left running; it is replaced');
    channel.close();
    await endProcess(pid, GRACE_MS);
    return null;
  }

  /** Null when nobody listens. */
  async #tryConnect(): Promise<SecmodChannel | null> {
    try {
      return await this.#connect();
    } catch (error) {
      const cause = error instanceof VpnError ? error.cause : error;
      if (['ENOENT', 'ECONNREFUSED'].includes((cause as NodeJS.ErrnoException).code ?? '')) return null;
      throw error;
    }
  }

  #connect(): Promise<SecmodChannel> {
    const { connect, path, log } = this.#options;
    return connect(path, {
      self: 'main',
      peer: 'secmod',
      handlers: this.#handlers(),
      log,
      onClose: (channel, violation) => this.#onClose(channel, violation),
    });
  }

  async #startAndConnect(): Promise<SecmodChannel> {
    const { command, path } = this.#options;
    if (command === null) throw new VpnError('OCS_SECMOD_ABSENT', { path });
    const child = await startRole(command);
    this.#child = child;
    let ended: string | null = null;
    void child.exited.then((exit) => {
      ended = describeExit(exit);
      if (this.#child === child) this.#child = null;
    });
    const deadline = performance.now() + START_LIMIT_MS;
    while (ended === null && performance.now() < deadline) {
      const channel = await this.#tryConnect();
      if (channel) return channel;
      await sleep(CONNECT_RETRY_MS);
    }
    if (ended === null) await endChild(child, 0);
    throw new Error(ended ?? `it did not listen within ${START_LIMIT_MS / 1000} seconds`);
  }

  #onClose(channel: SecmodChannel, violation: Error | null): void {
    if (violation) this.#options.stats.violation();
    if (channel !== this.#current) return;
    this.#current = null;
    this.#up = Promise.withResolvers();
    if (this.#stopping) return;
    this.#options.log.error(
      { err: violation ?? undefined },
      'secmod is gone; tunnels go on, logins wait for the next one',
    );
    void this.#reopen();
  }

  async #reopen(): Promise<void> {
    for (let failures = 1; !this.#stopping; failures++) {
      await sleep(backoffMs(failures));
      if (this.#stopping) return;
      try {
        if (this.#child) await endChild(this.#child, GRACE_MS);
        await this.#open();
        this.#options.stats.secmodRestarted();
        this.#options.log.info({ secmod: this.pid, attempts: failures }, 'secmod is back');
        return;
      } catch (error) {
        this.#options.log.error({ detail: messageOf(error) }, 'secmod cannot be started again; trying on');
      }
    }
  }

  #handlers(): Handlers<'main', 'secmod'> {
    const { bans, stats, endSession } = this.#options;
    return {
      SECM_BAN_IP: ({ ip, score }) => ({ allowed: bans.add(ip, score) }),
      SECM_END_SESSION: ({ safeId, reconnect }) => ({ count: endSession(safeId, reconnect) }),
      SECM_STATS: (report) => stats.secmod(report),
      SECM_LOGIN_STEPS: (steps) => stats.loginSteps(steps),
    };
  }
}

const askToReload = async (channel: SecmodChannel, keysOnly: boolean): Promise<Body<'SECM_RELOAD_REPLY'>> =>
  (await channel.call('SECM_RELOAD', { keysOnly }, { timeoutMs: START_LIMIT_MS })).body;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether process `pid` runs `vpn ARGS…` from this installation. */
const runsAs = (pid: number, args: readonly string[]): boolean =>
  commandLine(pid) === `${roleCommand(args).join('\0')}\0`;

/** Words of the process, each ended by a zero byte; null when it has ended, also if its parent did not notice yet. */
function commandLine(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') || null;
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Ends a process that is not our child: SIGTERM, then SIGKILL after `graceMs`. */
async function endProcess(pid: number, graceMs: number): Promise<void> {
  signalIfThere(pid, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  for (let killed = false; commandLine(pid) !== null; ) {
    if (!killed && performance.now() > deadline) {
      signalIfThere(pid, 'SIGKILL');
      killed = true;
    }
    await sleep(CONNECT_RETRY_MS);
  }
}
