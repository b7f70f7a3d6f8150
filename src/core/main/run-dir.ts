/** One server for each run directory, and for each data directory. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type { NativeIo } from '../native/types.js';
import { fileReason } from '../util/file-reason.js';
import { makeDirectory } from '../util/make-directory.js';
import type { RunPaths } from './paths.js';

/** Names the server that uses the data directory: its process and its socket. */
const IN_USE = 'in-use.json';

interface User {
  readonly pid: number;
  readonly socket: string;
}

/** Throws OCS_RUN_DIR_IN_USE when a server answers; a stale socket file is the listener's affair. */
export function refuseIfLive(io: NativeIo, paths: RunPaths): void {
  let pid: number | null;
  try {
    pid = serverAt(io, paths.main);
  } catch (error) {
    throw new VpnError(
      'OCS_RUN_DIR',
      { path: paths.runDir, reason: (error as Error).message },
      { cause: error },
    );
  }
  if (pid !== null) throw new VpnError('OCS_RUN_DIR_IN_USE', { pid, path: paths.runDir });
}

/**
 * Marks the data directory as this server's: two of them would end each other's tunnels in the history and send each
 * other's accounting. Throws OCS_DATA_DIR_IN_USE when the server that is marked there runs on another run directory.
 */
export function claimDataDir(io: NativeIo, dataDir: string, paths: RunPaths, log: Logger): void {
  const file = join(dataDir, IN_USE);
  const user = readUser(file);
  // Another socket tells nothing of a process that has the number by chance.
  if (user && serverAt(io, user.socket) === user.pid) {
    if (user.socket === paths.main) return; // refuseIfLive tells
    throw new VpnError('OCS_DATA_DIR_IN_USE', { pid: user.pid, path: dataDir });
  }
  try {
    makeDirectory(dataDir, 0o755);
    writeFileSync(file, JSON.stringify({ pid: process.pid, socket: paths.main } satisfies User), {
      mode: 0o600,
    });
  } catch (error) {
    // Where nothing can be written, nobody can harm anybody.
    log.info({ file, reason: fileReason(error) }, 'the data directory cannot be marked as in use');
  }
}

/** null: nobody has marked it, or a server was killed while it did. */
function readUser(file: string): User | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as User;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new VpnError(
      'OCS_FILE',
      { what: 'mark of its user', path: file, reason: fileReason(error) },
      { cause: error },
    );
  }
}

/** The process that listens there, null without one. Throws when that cannot be found out. */
function serverAt(io: NativeIo, socket: string): number | null {
  let fd: number;
  try {
    fd = io.connectUnix(socket);
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
  const { pid } = io.peerCredentials(fd);
  io.close(fd);
  return pid;
}
