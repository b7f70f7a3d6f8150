/** Command line of `vpn worker`. */
import { parseArgs } from 'node:util';
import { VpnError } from '../errors.js';

export interface WorkerArguments {
  /** Path of main's socket. */
  readonly mainPath: string;
  /** Inherited connection to serve, null: main hands connections over. */
  readonly fd: number | null;
  /** Until main has told the configuration. */
  readonly logLevel: number;
}

const LOWEST_FD = 3;
const INITIAL_LOG_LEVEL = 2;

/** @throws VpnError OCS_WORKER_ARGUMENTS */
export function parseWorkerArguments(argv: readonly string[]): WorkerArguments {
  const { main, fd, level } = readOptions(argv);
  if (!main) throw new VpnError('OCS_WORKER_ARGUMENTS', { detail: '--main is missing' });
  if (level !== undefined && !/^\d$/.test(level))
    throw new VpnError('OCS_WORKER_ARGUMENTS', {
      detail: `--log-level ${level} is not a number from 0 to 9`,
    });
  const logLevel = level === undefined ? INITIAL_LOG_LEVEL : Number(level);
  if (fd === undefined) return { mainPath: main, fd: null, logLevel };
  const number = /^\d{1,6}$/.test(fd) ? Number.parseInt(fd, 10) : -1;
  if (number < LOWEST_FD) {
    throw new VpnError('OCS_WORKER_ARGUMENTS', {
      detail: `--fd ${fd} is not a descriptor number from ${LOWEST_FD} on`,
    });
  }
  return { mainPath: main, fd: number, logLevel };
}

function readOptions(argv: readonly string[]): { main?: string; fd?: string; level?: string } {
  try {
    const options = {
      main: { type: 'string' },
      fd: { type: 'string' },
      'log-level': { type: 'string', short: 'd' },
    } as const;
    const { main, fd, 'log-level': level } = parseArgs({ args: [...argv], options, strict: true }).values;
    return {
      ...(main !== undefined && { main }),
      ...(fd !== undefined && { fd }),
      ...(level !== undefined && { level }),
    };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new VpnError('OCS_WORKER_ARGUMENTS', { detail }, { cause: error });
  }
}
