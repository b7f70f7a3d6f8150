/**
 * `ocserv` with the flags of ocserv. Without -f the configuration is checked here and the server becomes a daemon:
 * this process ends when the sockets are bound and the pid file is written, so that whoever waits for it can
 * connect at once. Relative paths count from the folder in which it was started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { VhostCheck } from '../config/cross-checks.js';
import { loadConfig } from '../config/load.js';
import { machineChecks } from '../config/machine-checks.js';
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import { runServe, type ServeOptions } from '../main/serve.js';
import { DEFAULT_DATA_DIR } from '../users/passwd-target.js';
import { isSyslogFacility } from '../util/syslog.js';
import { readOptions, versionText } from './options.js';

const USAGE = `usage: ocserv [-f] [-d LEVEL] [-c FILE] [-t] [-p PIDFILE] [-e] [-s] [--syslog-facility NAME] [--no-chdir] [-x] [-v] [-h]
  -f, --foreground      stay in the foreground
  -d, --debug LEVEL     log level 0 to 9999, over log-level
  -c, --config FILE     configuration, default /etc/ocserv/ocserv.conf
  -t, --test-config     check the configuration and end
  -p, --pid-file FILE   write the process id there, over pid-file
  -e, --log-stderr      a daemon logs to stderr
  -s, --syslog          log to syslog, also with -f; a daemon's default
  --syslog-facility NAME
                        daemon, user, auth, authpriv, local0 to local7; over syslog-facility
  --no-chdir, -x/--traceable   accepted; the working directory never changes
  -v, --version
  -h, --help
Environment: VPN_DATA_DIR, the directory of state, default /var/lib/vpn; each server needs its own.
`;
const DEFAULT_CONFIG = '/etc/ocserv/ocserv.conf';
/** Of a second server on this machine: one of its own, as its folder of sockets is. */
const DATA_DIR = process.env.VPN_DATA_DIR ?? DEFAULT_DATA_DIR;
const MAX_LOG_LEVEL = 9;
/** Set for the process that is to be the daemon. */
const DAEMON = 'OCVPN_DAEMON';

type ToParent = { readonly listening: true } | { readonly failure: string };

const { values } = readOptions(
  {
    foreground: { type: 'boolean', short: 'f' },
    debug: { type: 'string', short: 'd' },
    config: { type: 'string', short: 'c', default: DEFAULT_CONFIG },
    'test-config': { type: 'boolean', short: 't' },
    'pid-file': { type: 'string', short: 'p' },
    'log-stderr': { type: 'boolean', short: 'e' },
    syslog: { type: 'boolean', short: 's' },
    'syslog-facility': { type: 'string' },
    'no-chdir': { type: 'boolean' },
    traceable: { type: 'boolean', short: 'x' },
    version: { type: 'boolean', short: 'v' },
    help: { type: 'boolean', short: 'h' },
  } as const,
  USAGE,
);

process.exit(await main());

async function main(): Promise<number> {
  if (values.version || values.help) {
    process.stdout.write(values.version ? versionText('ocserv') : USAGE);
    return 0;
  }
  const facility = values['syslog-facility'];
  if (facility !== undefined && !isSyslogFacility(facility)) {
    process.stderr.write(`ocserv: "${facility}" is not a syslog facility; see ocserv --help\n`);
    return 1;
  }
  if (values['test-config']) {
    // Not in a process that may become main: it holds no code for keys.
    const { keyCheck } = await import('../secmod/key-check.js');
    const { methodCheck } = await import('../secmod/method-check.js');
    return check([keyCheck, await methodCheck(DATA_DIR)]) ? 0 : 1;
  }
  if (process.env[DAEMON] === '1') return serveAsDaemon();
  process.env.VPN_SYSLOG_TAG ??= 'ocserv';
  if (facility !== undefined) process.env.VPN_SYSLOG_FACILITY = facility;
  if (values.foreground) {
    if (values.syslog) process.env.VPN_LOG_FORMAT = 'syslog';
    return runServe(serveOptions());
  }
  const config = check();
  return config ? daemonise(config) : 1;
}

/** Loads the configuration; null after it said what is wrong with it. */
function check(more: readonly VhostCheck[] = []): ServerConfig | null {
  try {
    const notice = (line: string) => process.stderr.write(`note: ${line}\n`);
    return loadConfig({
      file: resolve(values.config),
      dataDir: DATA_DIR,
      notice,
      checks: [...machineChecks(DATA_DIR), ...more],
    });
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    process.stderr.write(`ocserv: ${error.message}\n`);
    return null;
  }
}

function serveOptions(): ServeOptions {
  const config = resolve(values.config);
  const level = values.debug === undefined ? undefined : Number(values.debug);
  if (level !== undefined && !(Number.isInteger(level) && level >= 0 && level <= 9999)) {
    process.stderr.write(`ocserv: the debug level "${values.debug}" is not a number from 0 to 9999\n`);
    process.exit(1);
  }
  // Several servers with different configurations run side by side.
  const id = createHash('sha256').update(config).digest('hex').slice(0, 8);
  return {
    config,
    dataDir: DATA_DIR,
    runDir: process.env.VPN_RUN_DIR ?? `/run/ocserv-${id}`,
    logLevel: level === undefined ? undefined : Math.min(level, MAX_LOG_LEVEL),
    pidFile: values['pid-file'],
    jsonLog: false,
    secmod: true,
    workers: true,
  };
}

async function serveAsDaemon(): Promise<number> {
  delete process.env[DAEMON];
  const tell = (message: ToParent) => {
    if (process.connected) process.send?.(message);
  };
  return runServe({
    ...serveOptions(),
    onListening: () => {
      tell({ listening: true });
      // With the channel open this process would be told when its parent ends.
      if (process.connected) process.disconnect();
    },
    onFailure: (failure) => {
      tell({ failure });
      process.stderr.write(`ocserv: ${failure}\n`);
    },
  });
}

/** Starts the daemon; its status once it listens, or when it could not. */
async function daemonise({ default: { 'syslog-facility': configured } }: ServerConfig): Promise<number> {
  if (!values['log-stderr']) process.env.VPN_LOG_FORMAT = 'syslog';
  else process.env.VPN_LOG_FORMAT ??= process.stderr.isTTY === true ? 'human' : 'json';
  const log = values['log-stderr']
    ? ('inherit' as const)
    : toSyslog(process.env.VPN_SYSLOG_FACILITY ?? configured);
  const child: ChildProcess = spawn(
    process.execPath,
    [fileURLToPath(import.meta.url), ...process.argv.slice(2)],
    {
      env: { ...process.env, [DAEMON]: '1' },
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    },
  );
  return new Promise((done) => {
    let failure: string | null = null;
    child.on('error', (error) => {
      process.stderr.write(`ocserv: ${error.message}\n`);
      done(1);
    });
    child.on('message', (message: ToParent) => {
      if ('listening' in message) done(0);
      else failure = message.failure;
    });
    child.on('exit', (code) => {
      process.stderr.write(`ocserv: ${failure ?? `the server ended with status ${code}; see its log`}\n`);
      done(1);
    });
  });
}

/**
 * The input of a logger(1) that goes on when this process has ended: for what is no line of the log, notices and the output
 * of scripts.
 */
function toSyslog(facility: string): Writable {
  const socket = process.env.VPN_SYSLOG_SOCKET ? ['--socket', process.env.VPN_SYSLOG_SOCKET] : [];
  const words = ['-t', 'ocserv', '-p', `${facility}.notice`, '--socket-errors=off', ...socket];
  const logger = spawn('logger', words, {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  return logger.stdin;
}
