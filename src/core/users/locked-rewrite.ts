/**
 * Rewrites a file through `<file>.tmp` in the same directory, as ocpasswd does: the temporary file is created
 * exclusively, which is the lock, and renamed over the original, so that readers see the old or the new file.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';

const NEW_FILE_MODE = 0o600;
const RETRY_MS = 20;

export interface RewriteOptions {
  /** How long to wait for another program that holds the lock. */
  readonly waitMs?: number;
}

/**
 * Replaces the content of `path` (as latin1 text; '' if it does not exist) by what `change` makes of it. Mode and
 * owner are kept; a new file gets mode 0600. Symbolic links are followed. Throws OCS_PASSWD_LOCKED, OCS_FILE, and
 * what `change` throws; the file is then unchanged.
 */
export async function rewriteLocked(
  path: string,
  change: (text: string) => string,
  { waitMs = 1000 }: RewriteOptions = {},
): Promise<void> {
  const target = existsSync(path) ? realpathSync(path) : path;
  const temporary = `${target}.tmp`;
  const lock = await takeLock(target, temporary, waitMs);
  let renamed = false;
  try {
    const text = existsSync(target) ? readFileSync(target, 'latin1') : '';
    const changed = change(text);
    if (existsSync(target) && changed === text) return;
    writeAll(lock, Buffer.from(changed, 'latin1'));
    keepOwnerAndMode(lock, target, temporary);
    fsyncSync(lock);
    renameSync(temporary, target);
    renamed = true;
  } catch (error) {
    throw error instanceof VpnError ? error : fileError(target, error);
  } finally {
    closeSync(lock);
    if (!renamed) rmSync(temporary, { force: true });
  }
}

async function takeLock(target: string, temporary: string, waitMs: number): Promise<number> {
  for (const start = performance.now(); ; await sleep(RETRY_MS)) {
    try {
      return openSync(temporary, 'wx', NEW_FILE_MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(target, error);
      if (performance.now() - start >= waitMs) {
        throw new VpnError('OCS_PASSWD_LOCKED', { path: target, lock: temporary });
      }
    }
  }
}

function keepOwnerAndMode(fd: number, target: string, temporary: string): void {
  const original = existsSync(target) ? statSync(target) : null;
  if (original) chownSync(temporary, original.uid, original.gid);
  fchmodSync(fd, original ? original.mode & 0o7777 : NEW_FILE_MODE);
}

function writeAll(fd: number, data: Buffer): void {
  for (let offset = 0; offset < data.length; ) offset += writeSync(fd, data, offset);
}

function fileError(path: string, cause: unknown): VpnError {
  const reason = fileReason(cause);
  return new VpnError('OCS_FILE', { what: 'password file', path, reason }, { cause });
}
