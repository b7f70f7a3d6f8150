/** The lines of connections that end without a session: those that fail are told, up to a limit. */
import type { Logger } from '../log.js';
import type { CloseReason } from '../native/types.js';
import type { Client } from './clients.js';
import { LineLimit } from './line-limit.js';

const FAILURES_PER_MINUTE = 60;

export class ConnectionLog {
  readonly #log: Logger;
  readonly #failures: LineLimit;

  constructor(log: Logger) {
    this.#log = log;
    this.#failures = new LineLimit(log, FAILURES_PER_MINUTE, 'more connections failed in this minute');
  }

  ended({ id, remote }: Client, reason: CloseReason, detail: string): void {
    const about = { client: id, ip: remote.address, port: remote.port };
    if (reason === 'error') this.#failures.warn(about, `connection failed: ${detail}`);
    else this.#log.debug({ ...about, reason, detail }, 'connection closed');
  }
}
