/**
 * The secmod process: `vpn secmod [--config FILE] [--data-dir DIR] [--run-dir DIR] [--socket PATH] [--log-level N]`.
 * bin/run.js calls it without loading oclif.
 */
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { usesEmbeddedCertificate } from '../config/embedded.js';
import { fileCheck } from '../config/file-check.js';
import { configFile } from '../config/find.js';
import { loadConfig } from '../config/load.js';
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import { listenIpc } from '../ipc/channel.js';
import { chooseLog, createLogger, type Logger } from '../log.js';
import { giveBackMemory } from '../native/give-back.js';
import { native } from '../native/index.js';
import { leaveRings } from '../native/rings.js';
import { ensureEmbeddedPki } from '../pki/embedded-pki.js';
import { ServiceNotifier } from '../service/notify.js';
import { ensureFirstUser } from '../users/first-user.js';
import { resolveSecmodUser } from '../util/identity.js';
import { needDirectory } from '../util/make-directory.js';
import { FileStore } from './file-store.js';
import { allVhosts, lockDownSecmod, needsOf, refuseNewNeeds } from './lockdown.js';
import { loadAuthPlugins, pluginLists } from './plugins.js';
import { Secmod } from './secmod.js';
import { Vhosts } from './vhosts.js';

interface Arguments {
  readonly config: string | undefined;
  readonly dataDir: string;
  readonly runDir: string;
  readonly socket: string | undefined;
  /** Over log-level. */
  readonly logLevel: number | undefined;
}

/** SECM_LIST_COOKIES_REPLY lists at most so many. */
const MAX_SESSIONS = 65_535;
/** Workers run as another user and must be able to connect; who they are is checked by SO_PEERCRED. */
const SOCKET_MODE = 0o666;
const EXPIRE_INTERVAL_MS = 1000;
const REPORT_INTERVAL_MS = 1000;

/** Runs until SIGTERM or SIGINT. Ends the process with status 1 if it cannot start. */
export async function runSecmod(argv: readonly string[]): Promise<void> {
  let log = createLogger('secmod', 2, native.io.sendToUnix);
  try {
    const given = parseArguments(argv);
    leaveRings();
    const args = { ...given, config: configFile(given.config) };
    // Before the first secret is read.
    native.io.dropPrivileges({ lockdown: false, nonDumpable: true });
    const config = await readConfig(args);
    chooseLog(config.default);
    log = createLogger('secmod', config.default['log-level'], native.io.sendToUnix);
    await serve(args, config, log);
  } catch (error) {
    if (error instanceof VpnError) log.fatal({ code: error.code }, error.message);
    else log.fatal({ err: error }, 'secmod cannot start');
    process.exit(1);
  }
}

async function serve(args: Arguments, config: ServerConfig, log: Logger): Promise<void> {
  const service = new ServiceNotifier({ io: native.io, log });
  const plugins = await loadAuthPlugins(...pluginLists(args.dataDir));
  const needs = needsOf(allVhosts(config), plugins);
  const vhosts = await Vhosts.load(config, { plugins, stateDir: args.dataDir, log });
  const path = args.socket ?? (config.default['socket-file'] || join(args.runDir, 'secmod.sock'));
  needDirectory('OCS_RUN_DIR', dirname(path), 0o755);
  const store = await openStore(path, config.default['secmod-user'], log);
  const secmod = new Secmod({
    vhosts,
    store,
    log,
    nowMs: Date.now,
    readConfig: async () => {
      const fresh = await readConfig(args);
      const added = allVhosts(fresh).filter(({ name }) => vhosts.get(name) === undefined);
      refuseNewNeeds(added, plugins, needs);
      return fresh;
    },
    ownUid: process.getuid?.() ?? 0,
  });
  const listener = listenIpc<'secmod'>({
    path,
    mode: SOCKET_MODE,
    self: 'secmod',
    log,
    knows: (credentials) => secmod.knows(credentials),
    accept: (role, credentials) => secmod.accept(role, credentials),
    onChannel: () => {},
  });
  lockDownSecmod(native.io, needs, config.default['secmod-user'], log);
  giveBackMemory(native.io);
  const timers = [
    every(EXPIRE_INTERVAL_MS, () => secmod.expire(), log),
    every(REPORT_INTERVAL_MS, () => secmod.report(), log),
  ];
  const stop = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'stopping');
    service.stopping('ending');
    for (const timer of timers) clearInterval(timer);
    listener.close();
    Promise.all([secmod.close(), store.close()]).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopped with an error');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // A reload comes as a message; a terminal that is closed must not end the sessions.
  process.on('SIGHUP', () => log.debug('SIGHUP ignored'));
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));
  log.info({ path, vhosts: vhosts.names }, 'secmod is ready');
  service.ready(`listening on ${path}`);
}

/** Sessions beside the socket, one file for each server: `secmod.sock` has `secmod.state`. */
async function openStore(socket: string, user: string, log: Logger): Promise<FileStore> {
  const path = `${socket.replace(/\.sock(et)?$/, '')}.state`;
  const owner = resolveSecmodUser(user)?.uid;
  try {
    return await FileStore.open({ path, capacity: MAX_SESSIONS, log, owner });
  } catch (error) {
    const details = { what: 'state file', path, reason: (error as Error).message };
    throw new VpnError('OCS_FILE', details, { cause: error });
  }
}

/** The configuration, and what of the data directory it stands on. */
async function readConfig({ config: file, dataDir, logLevel }: Arguments): Promise<ServerConfig> {
  const overrides = logLevel === undefined ? {} : { 'log-level': logLevel };
  const config = loadConfig({ file, dataDir, overrides, checks: [fileCheck(dataDir, ['secmod'])] });
  if (usesEmbeddedCertificate(config.default, dataDir)) await ensureEmbeddedPki(dataDir);
  if (file === undefined) await ensureFirstUser(dataDir);
  return config;
}

/** Calls `task` at this interval, never twice at once. */
function every(intervalMs: number, task: () => Promise<void>, log: Logger): NodeJS.Timeout {
  let running = false;
  return setInterval(() => {
    if (running) return;
    running = true;
    task()
      .catch((error: unknown) => log.error({ err: error }, 'periodic task failed'))
      .finally(() => {
        running = false;
      });
  }, intervalMs);
}

function parseArguments(argv: readonly string[]): Arguments {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string', short: 'c' },
        'data-dir': { type: 'string', default: process.env.VPN_DATA_DIR ?? '/var/lib/vpn' },
        'run-dir': { type: 'string', default: process.env.VPN_RUN_DIR ?? '/run/vpn' },
        socket: { type: 'string' },
        'log-level': { type: 'string', short: 'd' },
      },
    });
    return {
      config: values.config,
      dataDir: values['data-dir'],
      runDir: values['run-dir'],
      socket: values.socket,
      // A number that is none is told as one in the file would be.
      logLevel: values['log-level'] === undefined ? undefined : Number(values['log-level']),
    };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new VpnError('OCS_CONFIG', { detail }, { cause: error });
  }
}
