/**
 * Child processes of main: the same program in another role.
 *
 * They get a session of their own, so that Ctrl-C on the terminal reaches main alone, which ends them in order.
 * No parent-death signal: a tunnel must survive main (workers), and so must the cookies (secmod); the next
 * `vpn serve` on the same run directory takes secmod over.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { NODE_FLAGS } from '../native/rings.js';

const LAUNCHER = fileURLToPath(new URL('../../../bin/run.js', import.meta.url));
/** What the launcher would load for a worker: without it the start takes half the time. */
const WORKER = fileURLToPath(new URL('../../../bin/worker.cjs', import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly pid: number;
  /** Resolves when the process has ended. */
  readonly exited: Promise<Exit>;
  readonly running: boolean;
  kill(signal: NodeJS.Signals): void;
}

/**
 * V8 compiles and collects on the one thread that a worker has work for: less memory, which a session's process would
 * have a copy of (native/src/dataplane/shepherd.cc), and no CPU time for threads that wait for each other. What is compiled
 * in advance (scripts/bundle-worker.ts) is good for these flags alone.
 */
const WORKER_FLAGS = ['--single-threaded'] as const;

/** The command line of a role, as it appears in /proc/PID/cmdline. */
export const roleCommand = (args: readonly string[]): string[] => [
  process.execPath,
  ...NODE_FLAGS,
  ...(args[0] === 'worker' ? [...WORKER_FLAGS, WORKER] : [LAUNCHER]),
  ...args,
];

/** What a worker may learn from our environment: language, time zone, form and place of the log. */
const WORKER_ENVIRONMENT = /^(LANG|LC_.*|TZ|VPN_LOG_FORMAT|VPN_SYSLOG_.*)$/;

/** The environment of workers: secrets of the administrator's shell are not for those who talk to strangers. */
const workerEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => WORKER_ENVIRONMENT.test(name)));

/** Starts `vpn ARGS…`. Its stdout goes to our stderr: stdout is for people. Rejects if it cannot be started. */
export function startRole(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Child> {
  const [command = process.execPath, ...rest] = roleCommand(args);
  const child = spawn(command, rest, { stdio: ['ignore', 2, 2], detached: true, env });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => resolve(wrap(child)));
  });
}

/** Starts a worker of the main that listens at `mainSocket`. */
export const startWorker = (mainSocket: string, logLevel: number): Promise<Child> =>
  startRole(['worker', '--main', mainSocket, '--log-level', String(logLevel)], workerEnvironment());

function wrap(child: ChildProcess): Child {
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  return {
    pid: child.pid ?? 0,
    exited,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    kill: (signal) => {
      child.kill(signal);
    },
  };
}

/** SIGTERM, then SIGKILL if it has not ended after `graceMs`. */
export async function endChild(child: Child, graceMs: number): Promise<void> {
  if (!child.running) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await child.exited;
  clearTimeout(timer);
}

export const describeExit = ({ code, signal }: Exit): string =>
  signal === null ? `exit status ${code}` : `signal ${signal}`;

/** Delay before attempt `failures + 1` of something that keeps failing: 100 ms, doubling, at most 5 s. */
export const backoffMs = (failures: number): number =>
  failures === 0 ? 0 : Math.min(100 * 2 ** (failures - 1), 5000);
