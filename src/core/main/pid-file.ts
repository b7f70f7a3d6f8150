/** Option pid-file. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';

export class PidFile {
  readonly #path: string;

  /** '' for none. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Writes this process's id. Throws OCS_FILE. */
  write(): void {
    if (this.#path === '') return;
    try {
      writeFileSync(this.#path, `${process.pid}\n`, { mode: 0o644 });
    } catch (error) {
      const reason = fileReason(error);
      throw new VpnError('OCS_FILE', { what: 'pid file', path: this.#path, reason }, { cause: error });
    }
  }

  /** Removes it if it still names this process: the next server may have written its own already. */
  remove(): void {
    if (this.#path === '') return;
    try {
      if (readFileSync(this.#path, 'utf8').trim() === String(process.pid)) rmSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}
