/**
 * A worker process: what main tells it, its clients, and its end. With worker-clients N its packet loop carries all
 * its tunnels. With 1 each tunnel gets a native process, and this one does logins and speaks for those processes;
 * session-process says whether it serves more than one client in its life.
 *
 * When main dies the tunnels go on: main only has to be there to open and to end them.
 */
import { POOLED_LOGINS, parseWorkerConfig } from '../config/worker-config.js';
import type { ChannelOptions, Handlers } from '../ipc/api.js';
import type { Body } from '../ipc/messages.js';
import { type Logger, pinoLevel } from '../log.js';
import type { Dataplane, DataplaneEvent, NativeBinding } from '../native/types.js';
import { Client } from './client.js';
import type { ClientDeps, MainChannel } from './client-deps.js';
import { detailOf, messageOf, NO_COUNTS, OUT_OF_DESCRIPTORS } from './detail.js';
import type { LockdownOptions } from './lockdown.js';
import { Rounds } from './rounds.js';
import type { Startup } from './secmod-calls.js';
import type { SecmodLink } from './secmod-link.js';
import { loadVhosts, type Vhosts } from './vhosts.js';

export interface WorkerDeps {
  readonly native: NativeBinding;
  readonly secmod: SecmodLink;
  readonly log: Logger;
  readonly openStream: ClientDeps['openStream'];
  readonly lockDown: (options: LockdownOptions) => void;
  /** Connects to main and says HELLO. */
  readonly connectMain: (options: ChannelOptions<'worker', 'main'>) => Promise<MainChannel>;
  /** Inherited connection, null: main hands them over. */
  readonly fd: number | null;
  readonly now: () => number;
  readonly random: () => number;
}

const STOP_TIMEOUT_MS = 2000;
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 500;
/** How long the end of a tunnel waits to be told to the next main. */
const REPORT_PATIENCE_MS = 60_000;
/** Within this time it is known whether main was there to hear of an end: a killed process dies thread by thread. */
const NOTICE_MS = 200;

export class Worker {
  /** Resolves when the process has nothing left to do; rejects when it cannot start. */
  readonly done: Promise<void>;
  readonly #deps: WorkerDeps;
  readonly #rounds = new Rounds();
  readonly #clients = new Map<number, Client>();
  readonly #tunnels = new Map<number, Client>();
  readonly #settle: { resolve: () => void; reject: (error: unknown) => void };
  /** Made with the first configuration. */
  #dataplane: Dataplane | null = null;
  #main: MainChannel | null = null;
  #vhosts: Vhosts | null = null;
  #loading: Promise<void> = Promise.resolve();
  /** JSON of the configuration that is loaded or being loaded. */
  #configured = '';
  #inheritedFd: number | null;
  #served = 0;
  #stopping = false;
  /** Serves another main than the one that started it: no new client comes. */
  #resumed = false;
  #finished = false;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#inheritedFd = deps.fd;
    const settled = Promise.withResolvers<void>();
    this.done = settled.promise;
    this.#settle = settled;
  }

  /** Connects to main, which then sends WORKER_CONFIG. */
  async start(): Promise<void> {
    this.#main = await this.#connect();
  }

  /** SIGTERM: tells the clients not to come back, waits a little for that, and ends. */
  stop(): void {
    this.#stopping = true;
    for (const client of [...this.#clients.values()]) {
      if (client.isGone) this.#forget(client);
      else client.terminate('disconnect', 'server-disconnect');
    }
    if (this.#clients.size === 0) this.#finish();
    else setTimeout(() => this.#finish(), STOP_TIMEOUT_MS).unref();
  }

  #connect(): Promise<MainChannel> {
    return this.#deps.connectMain({
      self: 'worker',
      peer: 'main',
      handlers: this.#handlers,
      log: this.#deps.log,
      onClose: (_channel, violation) => this.#onMainClosed(violation),
    });
  }

  readonly #handlers: Handlers<'worker', 'main'> = {
    WORKER_CONFIG: (body, { channel }) => this.#onConfig(body, channel),
    // A configuration that came before it is to be in force for it.
    WORKER_STARTUP: async (body, { fds, channel }) => {
      await this.#loading;
      this.#onStartup(body, fds[0] ?? null, channel);
    },
    UDP_FD: ({ client, hello, data }, { fds: [fd] }) => {
      if (fd !== undefined) this.#onUdp(client, fd, hello, data);
    },
    TERMINATE: async ({ client, how, reason }) => {
      await this.#loading;
      this.#clients.get(client)?.terminate(how, reason);
    },
  };

  // ---------------------------------------------------------------- configuration

  /** Loads one configuration after the other; a bad one at a reload leaves the old one in force. */
  #onConfig({ json, secmodPath }: Body<'WORKER_CONFIG'>, main: MainChannel): void {
    // It may come before start() has the channel.
    this.#main = main;
    if (json === this.#configured) {
      this.#deps.secmod.setPath(secmodPath);
      return;
    }
    this.#configured = json;
    this.#loading = this.#loading
      .then(() => this.#load(json, secmodPath))
      .catch((error: unknown) => {
        if (!this.#vhosts) this.#settle.reject(error);
        else this.#deps.log.error({ err: error }, 'the new configuration is not used');
      });
  }

  async #load(json: string, secmodPath: string): Promise<void> {
    const { native, secmod, log } = this.#deps;
    const config = parseWorkerConfig(json);
    secmod.setPath(secmodPath);
    log.level = pinoLevel(config.vhosts[0]['log-level']);
    const vhosts = await loadVhosts(native, secmod, config);
    if (this.#vhosts === null) {
      // While /proc can be read, which the data plane needs.
      const processes = isolated(vhosts) && vhosts.default.options['session-process'] !== 'none';
      this.#dataplane = native.createDataplane((event) => this.#onEvent(event), processes);
      this.#lockDown(vhosts);
    }
    this.#vhosts = vhosts;
  }

  /** Everything is loaded: gives the privileges up, then asks for work. Throws if it keeps any. */
  #lockDown({ config: { uid, gid }, default: { options } }: Vhosts): void {
    const { io } = this.#deps.native;
    const { 'worker-clients': atOnce, 'session-process': how, 'isolate-workers': isolate } = options;
    const memory = options['limit-worker-memory'];
    const clients = atOnce === 1 && how === 'pooled' ? POOLED_LOGINS : atOnce;
    this.#deps.lockDown({ uid, gid, clients, isolate, memory });
    if (atOnce === 1 && how === 'pooled' && options['session-template']) this.#startTemplate();
    this.#main?.send('WORKER_READY', {});
    if (this.#inheritedFd === null) return;
    const { remote, local } = io.socketAddresses(this.#inheritedFd);
    this.#main?.send('WORKER_ADOPT', {
      remoteIp: remote.address,
      remotePort: remote.port,
      ourIp: local.address,
      ourPort: local.port,
    });
  }

  #startTemplate(): void {
    try {
      this.#dataplane?.startTemplate();
    } catch (error) {
      this.#deps.log.warn({ err: error }, TEMPLATE_LOST);
    }
  }

  // ---------------------------------------------------------------- clients

  #onStartup(startup: Startup, passedFd: number | null, main: MainChannel): void {
    const fd = passedFd ?? this.#takeInheritedFd();
    if (fd === null) {
      main.send('WORKER_FULL', { client: startup.client });
      this.#refuse(startup, main, OUT_OF_DESCRIPTORS);
      return;
    }
    if (!this.#vhosts || !this.#dataplane || this.#stopping || this.#clients.has(startup.client)) {
      this.#deps.native.io.close(fd);
      this.#refuse(startup, main, 'the worker takes no connection');
      return;
    }
    this.#served += 1;
    this.#serve(this.#vhosts, this.#dataplane, startup, fd, main);
  }

  #serve(vhosts: Vhosts, dataplane: Dataplane, startup: Startup, fd: number, main: MainChannel): void {
    const { native, secmod, log, openStream, now, random } = this.#deps;
    const shared = {
      io: native.io,
      dataplane,
      secmod,
      log,
      openStream,
      now,
      random,
      rounds: this.#rounds,
    };
    const deps = { ...shared, main, vhosts, onTunnel: this.#onTunnel, onGone: this.#onGone };
    try {
      this.#clients.set(startup.client, new Client(deps, startup, fd));
    } catch (error) {
      this.#refuse(startup, main, detailOf(`TLS cannot be started: ${messageOf(error)}`));
    }
  }

  #takeInheritedFd(): number | null {
    const fd = this.#inheritedFd;
    this.#inheritedFd = null;
    return fd;
  }

  #refuse({ client }: Startup, main: MainChannel, detail: string): void {
    main.send('CLIENT_CLOSED', { client, reason: 'error', detail, ...NO_COUNTS });
    this.#finishIfIdle();
  }

  #onTunnel = (id: number, client: Client): void => {
    this.#tunnels.set(id, client);
  };

  #onGone = (client: Client): void => {
    if (client.hasTunnel && !this.#stopping) setTimeout(() => this.#dismiss(client), NOTICE_MS);
    else this.#forget(client);
  };

  /** Keeps a client whose end nobody was told of until there is a main, for a while. */
  #dismiss(client: Client): void {
    if (client.isUnreported) setTimeout(() => this.#forget(client), REPORT_PATIENCE_MS);
    else this.#forget(client);
  }

  #forget(client: Client): void {
    if (this.#clients.get(client.handle) === client) this.#clients.delete(client.handle);
    this.#finishIfIdle();
  }

  #onEvent(event: DataplaneEvent): void {
    if (event.type === 'template-lost') {
      this.#deps.log.warn({ detail: event.detail }, TEMPLATE_LOST);
      return;
    }
    const client = this.#tunnels.get(event.id);
    if (event.type === 'closed') this.#tunnels.delete(event.id);
    client?.onTunnelEvent(event);
  }

  #onUdp(handle: number, fd: number, hello: boolean, data: Uint8Array): void {
    const client = this.#clients.get(handle);
    if (client) client.attachUdp(fd, hello, data);
    else this.#deps.native.io.close(fd);
  }

  // ---------------------------------------------------------------- end

  #onMainClosed(violation: Error | null): void {
    const { log } = this.#deps;
    this.#main = null;
    if (this.#finished || this.#stopping) return;
    // Connections without a tunnel cannot get one any more.
    for (const client of [...this.#clients.values()])
      if (!client.hasTunnel) client.terminate('drop', 'error');
    if (this.#clients.size === 0) {
      this.#finish();
      return;
    }
    log.warn({ err: violation, clients: this.#clients.size }, 'main is gone; the tunnels go on without it');
    this.#reconnect(RECONNECT_FIRST_MS);
  }

  /** Until a later main listens on the socket. */
  #reconnect(delayMs: number): void {
    setTimeout(() => {
      if (this.#finished) return;
      this.#connect().then(
        (main) => this.#resume(main),
        () => this.#reconnect(Math.min(delayMs * 2, RECONNECT_MAX_MS)),
      );
    }, delayMs).unref();
  }

  /** Presents the clients to a new main. */
  #resume(main: MainChannel): void {
    this.#main = main;
    this.#resumed = true;
    for (const client of [...this.#clients.values()]) {
      client.resume(main).then(
        () => {
          if (client.isGone) this.#forget(client);
        },
        (error: unknown) => client.log.lines.warn({ err: error }, 'not resumed'),
      );
    }
  }

  /** One client only, or nobody left who could send another. */
  #finishIfIdle(): void {
    if (this.#clients.size > 0) return;
    const single = this.#resumed || this.#deps.fd !== null || !this.#vhosts || servesOnce(this.#vhosts);
    if (this.#stopping || this.#main === null || (single && this.#served > 0)) this.#finish();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#dataplane?.close();
    this.#deps.secmod.close();
    this.#main?.close();
    this.#settle.resolve();
  }
}

const TEMPLATE_LOST =
  'no template for the processes of sessions: they are forked from this worker and take more memory';

const isolated = (vhosts: Vhosts): boolean => vhosts.default.options['worker-clients'] === 1;

/** Another client would meet what this one left behind. */
const servesOnce = (vhosts: Vhosts): boolean =>
  isolated(vhosts) && vhosts.default.options['session-process'] !== 'pooled';
