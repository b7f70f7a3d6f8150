/** Directories, with the reason when one cannot be made. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { VpnError } from '../errors.js';
import { fileReason } from './file-reason.js';

/**
 * Makes `path` and what is missing above it. Returns the first that it made, undefined when all were there. Throws what the
 * system said: Node's own recursive way forgets a read-only or full file system and says that the path does not exist.
 */
export function makeDirectory(path: string, mode: number): string | undefined {
  if (isDirectory(path)) return undefined;
  const first = makeDirectory(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isDirectory(path)) throw error;
    return first;
  }
  return first ?? path;
}

/** The same of a directory that a process cannot be without. @throws VpnError `code` */
export function needDirectory(code: 'OCS_DATA_DIR' | 'OCS_RUN_DIR', path: string, mode: number): void {
  try {
    makeDirectory(path, mode);
  } catch (error) {
    throw new VpnError(code, { path, reason: fileReason(error) }, { cause: error });
  }
}

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
