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
import { loadConfig } from '../config/load.js';
import { machineChecks } from '../config/machine-checks.js';
import { VpnError } from '../errors.js';
import { runServe, type ServeOptions } from '../main/serve.js';
import { readOptions, versionText } from './options.js';

const USAGE = `usage: ocserv [-f] [-d LEVEL] [-c FILE] [-t] [-p PIDFILE] [-e] [-s] [--syslog-facility NAME] [--no-chdir] [-x] [-v] [-h]
  -f, --foreground      stay in the foreground
  -d, --debug LEVEL     log level 0 to 9999, over log-level
  -c, --config FILE     configuration, default /etc/ocserv/ocserv.conf
  -t, --test-config     check the configuration and end
  -p, --pid-file FILE   write the process id there, over pid-file
  -e, --log-stderr      a daemon logs to stderr
  -s, --syslog          a daemon logs to syslog (default)
  --syslog-facility NAME
  --no-chdir, -x/--traceable   accepted; the working directory never changes
  -v, --version
  -h, --help
`;
const DEFAULT_CONFIG = '/etc/ocserv/ocserv.conf';
const DATA_DIR = '/var/lib/vpn';
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
    'syslog-facility': { type: 'string', default: 'daemon' },
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
  if (values['test-config']) return check() ? 0 : 1;
  if (values.foreground) return runServe(serveOptions());
  if (process.env[DAEMON] === '1') return serveAsDaemon();
  return check() ? daemonise() : 1;
}

/** Loads the configuration and says what is wrong with it. */
function check(): boolean {
  try {
    const notice = (line: string) => process.stderr.write(`note: ${line}\n`);
    loadConfig({ file: resolve(values.config), dataDir: DATA_DIR, notice, checks: machineChecks(DATA_DIR) });
    return true;
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    process.stderr.write(`ocserv: ${error.message}\n`);
    return false;
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
async function daemonise(): Promise<number> {
  const log = values['log-stderr'] ? ('inherit' as const) : toSyslog();
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

/** The input of a logger(1) that goes on when this process has ended. */
function toSyslog(): Writable {
  const facility = `${values['syslog-facility']}.info`;
  const logger = spawn('logger', ['-t', 'ocserv', '-p', facility, '--socket-errors=off'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  return logger.stdin;
}
