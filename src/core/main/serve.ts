/** `vpn serve`: from the command line's options to the exit status. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { embeddedPaths } from '../config/embedded.js';
import { fileCheck } from '../config/file-check.js';
import { configFile } from '../config/find.js';
import { loadConfig } from '../config/load.js';
import type { Consumer } from '../config/option-spec.js';
import type { ServerConfig } from '../config/schema.js';
import { tlsCheck } from '../config/tls-check.js';
import { VpnError } from '../errors.js';
import { defaultHistoryFile } from '../history/history.js';
import { connectIpc, listenIpc } from '../ipc/channel.js';
import { chooseLog, createLogger, type Logger } from '../log.js';
import { giveBackMemory } from '../native/give-back.js';
import { native } from '../native/index.js';
import { certificatePin } from '../pki/pin.js';
import { takePassedSockets } from '../service/listen-fds.js';
import { ServiceNotifier } from '../service/notify.js';
import { ensureFirstUser } from '../users/first-user.js';
import { type Identity, resolveIdentity } from '../util/identity.js';
import { tell } from '../util/stderr.js';
import { announce, type FirstLogin } from './announce.js';
import type { Ipc } from './ipc.js';
import { keepMainCapabilities } from './lockdown.js';
import { type RunPaths, runPaths } from './paths.js';
import {
  checkRoot,
  checkTun,
  devicesHaveIpv6,
  hiddenDirectory,
  prepareRunDir,
  removeRunDir,
  resolveControlGroup,
} from './preflight.js';
import { claimDataDir } from './run-dir.js';
import { Server } from './server.js';

export interface ServeOptions {
  /** Configuration file; absent: the embedded default. */
  readonly config?: string | undefined;
  readonly dataDir: string;
  readonly runDir: string;
  readonly port?: number | undefined;
  /** Default: the same as `port`. */
  readonly udpPort?: number | undefined;
  readonly listenHost?: string | undefined;
  readonly logLevel?: number | undefined;
  readonly pidFile?: string | undefined;
  readonly jsonLog: boolean;
  /** False: secmod runs by itself on socket-file. */
  readonly secmod: boolean;
  /** False: workers come from a supervisor with their connection. */
  readonly workers: boolean;
  /** The TCP and UDP sockets are bound and the pid file is written. */
  readonly onListening?: () => void;
  /** Told the sentence of an error that ends the server; default: stderr. */
  readonly onFailure?: (message: string) => void;
}

/** A terminal's Ctrl-C may arrive twice: from the terminal and from npm. */
const SAME_SIGNAL_MS = 500;

/** Runs the server until it is told to stop. Returns the exit status: 0 after an orderly stop. */
export async function runServe(options: ServeOptions): Promise<number> {
  // Children inherit the choice.
  if (options.jsonLog) process.env.VPN_LOG_FORMAT = 'json';
  try {
    return await serve(options);
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    const onFailure = options.onFailure ?? ((message) => tell('error', `vpn: ${message}`));
    onFailure(error.message);
    return 1;
  }
}

async function serve(options: ServeOptions): Promise<number> {
  checkRoot();
  checkTun();
  const dataDir = resolve(options.dataDir);
  const file = configFile(options.config);
  const readFor = (roles: readonly Consumer[]) =>
    loadConfig({
      file,
      dataDir,
      overrides: overridesOf(options),
      checks: [fileCheck(dataDir, roles), tlsCheck],
      notice: (line) => tell('notice', `vpn: notice: ${line}`),
    });
  // A secmod of its own may have files that are not even there for this process.
  const config = readFor(options.secmod ? ['main', 'secmod', 'worker'] : ['main']);
  const identity = resolveIdentity(config.default['run-as-user'], config.default['run-as-group']);
  chooseLog(config.default);
  const log = createLogger('main', config.default['log-level'], native.io.sendToUnix);
  // Keys of tickets and HMACs are made from here on.
  native.io.dropPrivileges({ lockdown: false, nonDumpable: true });
  const end = new StopSwitch(log);
  const paths = runPaths(options.runDir, config.default);
  const madeRunDir = prepareRunDir(paths.runDir);
  try {
    // Later secmod looks at its files itself.
    await serveIn(paths, {
      options,
      config,
      readConfig: () => readFor(['main']),
      identity,
      dataDir,
      log,
      end,
    });
  } finally {
    if (madeRunDir && !end.leaving) removeRunDir(paths.runDir, log);
  }
  if (end.isForced) return end.forced;
  log.info(end.leaving ? 'left; the tunnels go on and wait for the next server' : 'stopped');
  return 0;
}

interface Serving {
  readonly options: ServeOptions;
  readonly config: ServerConfig;
  readonly readConfig: () => ServerConfig;
  readonly identity: Identity;
  readonly dataDir: string;
  readonly log: Logger;
  readonly end: StopSwitch;
}

/** From the run directory that is there to the server that has ended. */
async function serveIn(
  paths: RunPaths,
  { options, config, readConfig, identity, dataDir, log, end }: Serving,
): Promise<void> {
  forbidRings(log);
  claimDataDir(native.io, dataDir, paths, log);
  const hidden = identity.uid === 0 ? null : hiddenDirectory(paths.runDir);
  if (hidden !== null) notice(new VpnError('OCS_RUN_DIR_HIDDEN', { path: hidden }));
  const ipv6 = devicesHaveIpv6();
  const wantsIpv6 = [config.default, ...config.vhosts.values()].some((each) => each['ipv6-network'] !== '');
  if (!ipv6 && wantsIpv6) notice(new VpnError('OCS_TUNNEL_IPV6'));
  const user = config.source === null ? await ensureFirstUser(dataDir) : null;
  const passed = takePassedSockets(native.io);
  const service = new ServiceNotifier({ io: native.io, log });
  const server = new Server({
    config,
    readConfig,
    paths,
    identity,
    controlGid: resolveControlGroup(config.default['control-group'], identity),
    log,
    io: native.io,
    ipc: { connect: connectIpc, listen: listenForWorkers },
    secmodCommand: options.secmod ? secmodCommand(options, config, paths.secmod) : null,
    passed,
    service,
    startWorkers: options.workers,
    historyFile: config.default['history-file'] || defaultHistoryFile(dataDir),
    notice,
    ipv6,
    onListening: options.onListening,
    onStopRequest: () => end.request(),
  });
  end.onForce(() => server.kill());
  onHangup(server);
  // Also when it stops before it was ready.
  void end.requested.then(() =>
    service.stopping(end.leaving ? 'leaving to the next server' : 'ending sessions'),
  );
  try {
    await Promise.race([server.start(), end.requested]);
    if (!end.isRequested) {
      keepMainCapabilities(native.io);
      const login: FirstLogin | null = user && { ...user, pin: embeddedPin(dataDir) };
      const { tcp, udp } = server.bound;
      process.stdout.write(
        `${announce({ config, tcp, udp, ipv6, runDir: paths.runDir, login, natOn: server.natOn })}\n`,
      );
      giveBackMemory(native.io);
      service.ready(`listening on ${[...tcp, ...udp].length} sockets`);
      await end.requested;
    }
  } finally {
    service.close();
    if (end.leaving) server.leave();
    else await server.stop();
  }
}

/** For secmod and workers. Where it cannot be done they see to it themselves, which makes their start slower. */
function forbidRings(log: Logger): void {
  try {
    native.io.forbidRings(true);
  } catch (error) {
    log.debug({ err: error }, 'io_uring cannot be forbidden to children');
  }
}

/** SIGHUP: reload. A failure has been logged with all its details, and the old configuration stays in force. */
function onHangup(server: Server): void {
  process.on('SIGHUP', () => {
    server.reload().catch((error: unknown) => {
      tell('error', `vpn: ${(error as Error).message}`);
    });
  });
}

/** Something that the administrator should know and that does not stop the server. */
function notice(error: VpnError): void {
  tell('notice', `vpn: notice: ${error.message}`);
}

/** listenIpc as main uses it: only workers connect. */
const listenForWorkers: Ipc['listen'] = (options) =>
  listenIpc<'main'>({
    ...options,
    onChannel: (channel) => {
      if (channel.peer === 'worker') options.onChannel(channel);
    },
  });

/** Options of the command line in the form of the configuration. */
function overridesOf({
  port,
  udpPort,
  listenHost,
  logLevel,
  pidFile,
}: ServeOptions): Record<string, number | string> {
  return {
    ...(port !== undefined && { 'tcp-port': port, 'udp-port': port }),
    ...(udpPort !== undefined && { 'udp-port': udpPort }),
    ...(listenHost !== undefined && { 'listen-host': listenHost }),
    ...(logLevel !== undefined && { 'log-level': logLevel }),
    ...(pidFile !== undefined && { 'pid-file': resolve(pidFile) }),
  };
}

function secmodCommand(
  { dataDir, logLevel }: ServeOptions,
  { source }: ServerConfig,
  socket: string,
): string[] {
  const file = source === null ? [] : ['--config', source];
  const level = logLevel === undefined ? [] : ['--log-level', String(logLevel)];
  return ['secmod', ...file, '--data-dir', resolve(dataDir), '--socket', socket, ...level];
}

/** Public half only: main never opens a key. */
function embeddedPin(dataDir: string): string {
  return certificatePin(readFileSync(embeddedPaths(dataDir).serverCert));
}

/**
 * SIGINT, SIGTERM and `vpn ctl stop`: the first asks for an orderly end, the next one forces it. SIGUSR2: this process
 * alone ends, at once; tunnels and secmod stay for the next one (restart, upgrade).
 */
class StopSwitch {
  readonly #resolvers = Promise.withResolvers<void>();
  readonly #log: Logger;
  #at: number | null = null;
  #leaving = false;
  #force: () => Promise<void> = () => Promise.resolve();
  #isForced = false;

  constructor(log: Logger) {
    this.#log = log;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.request());
    process.on('SIGUSR2', () => this.#leave());
  }

  get requested(): Promise<void> {
    return this.#resolvers.promise;
  }

  get isRequested(): boolean {
    return this.#at !== null;
  }

  /** SIGUSR2 came, and nothing else before. */
  get leaving(): boolean {
    return this.#leaving;
  }

  #leave(): void {
    if (this.#at !== null) return;
    this.#leaving = true;
    this.#log.info('leaving; tunnels and secmod stay for the next server');
    this.#at = performance.now();
    this.#resolvers.resolve();
  }

  get isForced(): boolean {
    return this.#isForced;
  }

  /** The process ends by itself with status 1; an orderly end that the forced one has hurried must not overtake it. */
  get forced(): Promise<never> {
    return new Promise(() => {});
  }

  onForce(force: () => Promise<void>): void {
    this.#force = force;
  }

  request(): void {
    const now = performance.now();
    if (this.#at === null) {
      this.#at = now;
      this.#log.info('stopping; a second signal forces it');
      this.#resolvers.resolve();
    } else if (!this.#isForced && now - this.#at > SAME_SIGNAL_MS) {
      this.#isForced = true;
      this.#log.warn('forced to stop');
      void this.#force().finally(() => process.exit(1));
    }
  }
}
