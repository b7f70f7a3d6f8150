/**
 * The workers: keeps spare ones warm, gives new connections to those that are ready, and cleans up after those that
 * end. Who may have a connection is said in worker-policy.ts.
 */

import { VpnError } from '../errors.js';
import type { Channel, ChannelOptions } from '../ipc/api.js';
import type { Logger } from '../log.js';
import type { PeerCredentials } from '../native/types.js';
import type { Acceptor } from './acceptor.js';
import { backoffMs, type Child, describeExit, endChild } from './child.js';
import type { ServerStats } from './server-stats.js';
import { type Connection, WorkerLink, type WorkerLinkOptions } from './worker-link.js';
import { type WorkerPolicy, type WorkerSettings, workerPolicy } from './worker-policy.js';

/** Workers starting at the same time: Node's start costs CPU that connected clients need. */
const MAX_STARTING = 4;
/** From fork to WORKER_READY. */
const START_LIMIT_MS = 30_000;
/** Failed starts in a row before the server's own start is given up. */
const GIVE_UP_AFTER = 3;
const GRACE_MS = 3000;
/** Between the end of a worker's channel and its exit status. */
const EXIT_STATUS_MS = 500;
/** How often workers are looked at that have been idle for long. */
const TRIM_MS = 30_000;
/** How often those are dropped whose client has gone. */
const LOOK_MS = 500;

type LinkDeps = Pick<WorkerLinkOptions, 'sessions' | 'resumption' | 'bans'>;

export interface WorkerPoolOptions extends LinkDeps {
  readonly log: Logger;
  readonly settings: WorkerSettings;
  readonly spare: number;
  /** Null: workers come from a supervisor (--no-workers). */
  readonly startWorker: (() => Promise<Child>) | null;
  /** uid of workers that another main started, and of those that a supervisor started. */
  readonly workerUid: number;
  /** WORKER_CONFIG for a worker that has just said HELLO. */
  readonly workerConfig: () => { json: string; secmodPath: string };
  /** Says who may have a worker. It is made after the pool. */
  readonly acceptor: () => Pick<
    Acceptor,
    'adopt' | 'begin' | 'mayBegin' | 'maxWaiting' | 'released' | 'turnAway'
  >;
  readonly closeFd: (fd: number) => void;
  readonly hungUp: (fd: number) => boolean;
  readonly stats: Pick<ServerStats, 'violation' | 'workerFailed'>;
}

interface OwnWorker {
  readonly child: Child;
  /** It has been ready once: its end is no failed start. */
  started: boolean;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #policy: WorkerPolicy;
  readonly #links = new Map<number, WorkerLink>();
  readonly #children = new Map<number, OwnWorker>();
  readonly #waiting: Connection[] = [];
  readonly #readyWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  /** Starts of which the process does not exist yet. */
  #spawning = 0;
  #failures = 0;
  /** Since when no worker has been free or come back from a login, milliseconds of the monotonic clock; null: one is. */
  #busySince: number | null = null;
  #retry: NodeJS.Timeout | null = null;
  #again: NodeJS.Timeout | null = null;
  #look: NodeJS.Timeout | null = null;
  #stopping = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#policy = workerPolicy(options.settings);
    setInterval(() => this.#trim(), TRIM_MS).unref();
  }

  get workers(): number {
    return this.#links.size;
  }

  get spares(): number {
    return this.#spareLinks().length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Starts the spare workers and resolves when they are ready. Rejects with OCS_WORKER_START if they keep failing. */
  start(): Promise<void> {
    if (this.#options.startWorker === null || this.#options.spare === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#readyWaiters.push({ resolve, reject });
      this.#refill();
    });
  }

  /** Options of the channel of a process that connected as a worker, or null to refuse it. */
  accept({ pid, uid }: PeerCredentials): ChannelOptions<'main', 'worker'> | null {
    const { log, workerUid, startWorker } = this.#options;
    const own = this.#children.has(pid);
    if (this.#stopping || this.#links.has(pid) || !(own || uid === 0 || uid === workerUid)) return null;
    const link = new WorkerLink({
      ...this.#options,
      pid,
      own,
      mayAdopt: !own && (uid === 0 || startWorker === null),
      onReady: (ready) => this.#onReady(ready),
      onRelease: () => {
        this.#busySince = null;
        this.#settle();
      },
      onAdopt: (adopting, connection) => this.#options.acceptor().adopt(adopting, connection),
      onViolation: (bad, detail) => this.#cutOff(bad, detail),
    });
    this.#links.set(pid, link);
    if (!own) this.#expectClients(link);
    return {
      self: 'main',
      peer: 'worker',
      handlers: link.handlers,
      log,
      stateOf: link.stateOf,
      onClose: (_channel, violation) => this.#onClose(link, violation),
    };
  }

  /** The channel of an accepted worker is up: tell it what to do. */
  onChannel(channel: Channel<'main', 'worker'>): void {
    const link = this.#links.get(channel.credentials.pid);
    if (link === undefined) {
      channel.close();
      return;
    }
    link.channel = channel;
    // The listener answers HELLO after this call; nothing may be sent before that.
    queueMicrotask(() => channel.send('WORKER_CONFIG', this.#options.workerConfig()));
  }

  /** Sends the configuration anew to the workers that may serve another connection. */
  reconfigure(): void {
    for (const link of this.#links.values()) {
      if (!this.#policy.isUsedUp(link) && link.channel?.closed === false)
        link.channel.send('WORKER_CONFIG', this.#options.workerConfig());
    }
  }

  /** Takes an accepted connection; it waits here until a worker can have it. Of too many that wait the oldest is closed. */
  assign(connection: Connection): void {
    this.#waiting.push(connection);
    this.#settle();
    const acceptor = this.#options.acceptor();
    for (const oldest of this.#waiting.splice(0, this.#waiting.length - acceptor.maxWaiting))
      acceptor.turnAway(oldest);
    this.#lookAgain();
  }

  /** No worker is started for clients that have gone while they waited. */
  #lookAgain(): void {
    if (this.#waiting.length === 0 || this.#look !== null) return;
    this.#look = setTimeout(() => {
      this.#look = null;
      for (const connection of this.#waiting.splice(0)) {
        if (!this.#dropIfGone(connection)) this.#waiting.push(connection);
      }
      this.#settle();
      this.#lookAgain();
    }, LOOK_MS).unref();
  }

  #dropIfGone({ fd }: Connection): boolean {
    if (fd === null || !this.#options.hungUp(fd)) return false;
    this.#options.closeFd(fd);
    this.#options.acceptor().released();
    return true;
  }

  /** Ends all workers that main started: SIGTERM, after a while SIGKILL. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#retry) clearTimeout(this.#retry);
    for (const { fd } of this.#waiting.splice(0)) if (fd !== null) this.#options.closeFd(fd);
    await Promise.all([...this.#children.values()].map(({ child }) => endChild(child, GRACE_MS)));
    this.#killOthers();
  }

  /** For a main that comes after this one: the workers stay, with their tunnels and channels until this process ends. */
  leave(): void {
    this.#stopping = true;
    if (this.#retry) clearTimeout(this.#retry);
    for (const { fd } of this.#waiting.splice(0)) if (fd !== null) this.#options.closeFd(fd);
  }

  /** SIGKILL, without waiting. */
  kill(): void {
    this.#stopping = true;
    for (const { child } of this.#children.values()) child.kill('SIGKILL');
    this.#killOthers();
  }

  /** Workers of an earlier main or of a supervisor that have not ended with their clients. */
  #killOthers(): void {
    for (const link of this.#links.values()) this.#kill(link);
  }

  /** SIGKILL. A process that is not our child is there as long as its channel is open. */
  #kill(link: WorkerLink): void {
    const child = this.#children.get(link.pid)?.child;
    if (child) child.kill('SIGKILL');
    else if (link.channel?.closed === false) process.kill(link.pid, 'SIGKILL');
  }

  /** Whoever connects as a worker and has no client after a while is let go. */
  #expectClients(link: WorkerLink): void {
    setTimeout(() => {
      if (link.load === 0) link.channel?.close();
    }, START_LIMIT_MS).unref();
  }

  #onReady(link: WorkerLink): void {
    const entry = this.#children.get(link.pid);
    if (entry) {
      entry.started = true;
      this.#failures = 0;
    }
    this.#settle();
    if (this.#spareLinks().length < this.#options.spare) return;
    for (const { resolve } of this.#readyWaiters.splice(0)) resolve();
  }

  /** Gives waiting connections to workers, then starts or ends workers as needed. */
  #settle(): void {
    const acceptor = this.#options.acceptor();
    while (this.#waiting.length > 0) {
      const link = this.#next();
      if (link === undefined) break;
      // The newest: those at the other end of a long queue have mostly given up.
      const connection = this.#waiting.pop();
      if (connection === undefined || this.#dropIfGone(connection)) continue;
      if (!acceptor.mayBegin()) {
        this.#waiting.push(connection);
        break;
      }
      acceptor.begin(link, connection);
    }
    this.#refill();
    this.#trim();
  }

  #next(): WorkerLink | undefined {
    const ready = [...this.#links.values()].filter((link) => this.#roomOf(link) > 0);
    return this.#policy.choose(ready, this.#options.spare);
  }

  /** How many more clients this worker can take. */
  #roomOf(link: WorkerLink): number {
    return this.#isUsable(link) ? this.#policy.room(link) : 0;
  }

  #isUsable(link: WorkerLink): boolean {
    return (
      link.own && link.ready && !link.full && link.channel?.closed === false && !this.#policy.isUsedUp(link)
    );
  }

  /** Ready workers with more than half of their room left. */
  #spareLinks(): WorkerLink[] {
    const { capacity } = this.#policy;
    return [...this.#links.values()].filter((link) => this.#roomOf(link) * 2 > capacity);
  }

  get #starting(): number {
    let count = this.#spawning;
    for (const { started } of this.#children.values()) if (!started) count++;
    return count;
  }

  #refill(): void {
    if (this.#stopping || this.#retry !== null || this.#options.startWorker === null) return;
    const free = this.#spareLinks().length;
    const wanted = this.#policy.missing({
      usable: [...this.#links.values()].filter((link) => this.#isUsable(link)).length,
      free,
      waiting: this.#waiting.length,
      spare: this.#options.spare,
      busyMs: this.#busyMs(free),
    });
    for (let missing = wanted - this.#starting; missing > 0 && this.#starting < MAX_STARTING; missing--) {
      void this.#startOne(this.#options.startWorker);
    }
  }

  /** How long no worker has been free. Looks again when that has been for as long as the policy has patience. */
  #busyMs(free: number): number {
    const now = performance.now();
    if (this.#again) clearTimeout(this.#again);
    this.#again = null;
    this.#busySince = free > 0 ? null : (this.#busySince ?? now);
    if (this.#busySince === null) return 0;
    const busyMs = now - this.#busySince;
    const { patienceMs } = this.#policy;
    if (busyMs < patienceMs) this.#again = setTimeout(() => this.#refill(), patienceMs - busyMs + 1).unref();
    return busyMs;
  }

  /** Workers that serve several clients and that a rush left behind idle are ended again. */
  #trim(): void {
    const policy = this.#policy;
    const { spare } = this.#options;
    if (this.#stopping || policy.idleMs === Number.POSITIVE_INFINITY) return;
    const idle = this.#spareLinks().filter((link) => link.load === 0);
    const since = performance.now() - policy.idleMs;
    const beyond = idle.slice(Math.max(1, spare)).filter((link) => link.lastUsedMs <= since);
    const usedUp = [...this.#links.values()].filter(
      (link) => link.load === 0 && (link.full || policy.isUsedUp(link)),
    );
    for (const link of [...beyond, ...usedUp]) {
      if (!link.ready) continue;
      link.ready = false;
      this.#children.get(link.pid)?.child.kill('SIGTERM');
    }
  }

  async #startOne(startWorker: () => Promise<Child>): Promise<void> {
    this.#spawning++;
    let child: Child;
    try {
      child = await startWorker();
    } catch (error) {
      this.#startFailed(error instanceof Error ? error.message : String(error));
      return;
    } finally {
      this.#spawning--;
    }
    const entry: OwnWorker = { child, started: false };
    this.#children.set(child.pid, entry);
    if (this.#stopping) child.kill('SIGTERM');
    const limit = setTimeout(() => {
      if (!entry.started) child.kill('SIGKILL');
    }, START_LIMIT_MS);
    const exit = await child.exited;
    clearTimeout(limit);
    const how = describeExit(exit);
    if (exit.code !== 0 && !this.#stopping) {
      this.#options.stats.workerFailed();
      if (entry.started) this.#options.log.warn({ worker: child.pid, detail: how }, 'worker failed');
    }
    this.#onExit(entry, how);
  }

  #onExit({ child, started }: OwnWorker, how: string): void {
    const link = this.#links.get(child.pid);
    this.#children.delete(child.pid);
    this.#links.delete(child.pid);
    link?.lost(`worker ${child.pid} ended: ${how}`);
    link?.channel?.close();
    if (started) this.#settle();
    else this.#startFailed(`worker ${child.pid}: ${how}`);
  }

  #startFailed(detail: string): void {
    if (this.#stopping) return;
    this.#failures++;
    this.#options.log.error({ detail, failures: this.#failures }, 'worker did not start');
    if (this.#failures >= GIVE_UP_AFTER) {
      const error = new VpnError('OCS_WORKER_START', { detail });
      for (const { reject } of this.#readyWaiters.splice(0)) reject(error);
    }
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#refill();
    }, backoffMs(this.#failures));
  }

  /** A worker that closes its channel is ending; one that does not end is helped. */
  #onClose(link: WorkerLink, violation: Error | null): void {
    const child = this.#children.get(link.pid)?.child;
    const lost = () => link.lost(violation?.message ?? `worker ${link.pid} closed its channel`);
    if (violation) {
      this.#options.stats.violation();
      lost();
      child?.kill('SIGKILL');
    } else if (child) {
      // Its exit status, which says more, comes in a moment.
      setTimeout(lost, EXIT_STATUS_MS).unref();
      void endAfter(child, GRACE_MS);
    } else lost();
    if (child === undefined) this.#links.delete(link.pid);
  }

  #cutOff(link: WorkerLink, detail: string): void {
    this.#options.log.error({ worker: link.pid, detail }, 'worker broke the protocol and is cut off');
    this.#options.stats.violation();
    link.lost('its worker broke the protocol');
    // A worker that lives would come back with its clients.
    this.#kill(link);
    link.channel?.close();
  }
}

async function endAfter(child: Child, graceMs: number): Promise<void> {
  const timer = setTimeout(() => void endChild(child, graceMs), graceMs);
  await child.exited;
  clearTimeout(timer);
}
