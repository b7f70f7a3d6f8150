/** Reads the text of a configuration file, with bounds, and with one clear error for whatever else a path may be. */
import {
  closeSync,
  constants as fsConstants,
  fstatSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';

/** Far more than any configuration needs. */
const MAX_BYTES = 1024 * 1024;

/** Text of the file. Throws OCS_FILE, where `what` names the kind of file. */
export function readSourceFile(path: string, what = 'configuration file'): string {
  const fail = (reason: string, cause?: unknown): never => {
    throw new VpnError('OCS_FILE', { what, path, reason }, { cause });
  };
  try {
    // Without O_NONBLOCK the open of a FIFO would wait for its other end.
    const fd = openSync(path, fsConstants.O_RDONLY | fsConstants.O_NONBLOCK);
    try {
      const entry = fstatSync(fd);
      if (!entry.isFile()) return fail('it is not a regular file');
      if (entry.size > MAX_BYTES) return fail(`it is larger than ${MAX_BYTES / 1024} KiB`);
      return textOf(readFileSync(fd), fail);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof VpnError) throw error;
    return fail(fileReason(error), error);
  }
}

/** The same, but null when there is no such file. */
export function readSourceFileIfThere(path: string, what: string): string | null {
  try {
    return readSourceFile(path, what);
  } catch (error) {
    const cause = error instanceof VpnError ? error.cause : undefined;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return null;
    throw error;
  }
}

/** Writes a file that only its owner may read, since it may hold secrets; an existing one only with `replace`. */
export function writeNewFile(path: string, text: string, replace: boolean): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: replace ? 'w' : 'wx' });
  } catch (error) {
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const reason = isThere ? 'it exists; --force replaces it' : fileReason(error);
    throw new VpnError('OCS_FILE', { what: 'output file', path, reason }, { cause: error });
  }
}

function textOf(bytes: Buffer, fail: (reason: string, cause?: unknown) => never): string {
  if (bytes.includes(0)) return fail('it is not a text file (it has NUL bytes)');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    return fail('it is not a text file in UTF-8', error);
  }
}
