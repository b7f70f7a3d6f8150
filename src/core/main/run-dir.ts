/** One server for each run directory. */
import { VpnError } from '../errors.js';
import type { NativeIo } from '../native/types.js';
import type { RunPaths } from './paths.js';

/** Throws OCS_RUN_DIR_IN_USE when a server answers; a stale socket file is the listener's affair. */
export function refuseIfLive(io: NativeIo, paths: RunPaths): void {
  let fd: number;
  try {
    fd = io.connectUnix(paths.main);
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    throw new VpnError(
      'OCS_RUN_DIR',
      { path: paths.runDir, reason: (error as Error).message },
      { cause: error },
    );
  }
  const { pid } = io.peerCredentials(fd);
  io.close(fd);
  throw new VpnError('OCS_RUN_DIR_IN_USE', { pid, path: paths.runDir });
}
