/** Command line of `vpn worker`. */
import { parseArgs } from 'node:util';
import { VpnError } from '../errors.js';

export interface WorkerArguments {
  /** Path of main's socket. */
  readonly mainPath: string;
  /** Inherited connection to serve, null: main hands connections over. */
  readonly fd: number | null;
}

const LOWEST_FD = 3;

/** @throws VpnError OCS_WORKER_ARGUMENTS */
export function parseWorkerArguments(argv: readonly string[]): WorkerArguments {
  const { main, fd } = readOptions(argv);
  if (!main) throw new VpnError('OCS_WORKER_ARGUMENTS', { detail: '--main is missing' });
  if (fd === undefined) return { mainPath: main, fd: null };
  const number = /^\d{1,6}$/.test(fd) ? Number.parseInt(fd, 10) : -1;
  if (number < LOWEST_FD) {
    throw new VpnError('OCS_WORKER_ARGUMENTS', {
      detail: `--fd ${fd} is not a descriptor number from ${LOWEST_FD} on`,
    });
  }
  return { mainPath: main, fd: number };
}

function readOptions(argv: readonly string[]): { main?: string; fd?: string } {
  try {
    const options = { main: { type: 'string' }, fd: { type: 'string' } } as const;
    const { main, fd } = parseArgs({ args: [...argv], options, strict: true }).values;
    return { ...(main !== undefined && { main }), ...(fd !== undefined && { fd }) };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new VpnError('OCS_WORKER_ARGUMENTS', { detail }, { cause: error });
  }
}
