/** Keeps scanners out of the log: so many lines of a kind in a minute, and then how many more there were. */
import type { Logger } from '../log.js';

const MINUTE_MS = 60_000;

export class LineLimit {
  readonly #log: Logger;
  readonly #perMinute: number;
  readonly #summary: string;
  /** In the minute that runs. */
  #lines = 0;

  /** @param summary says, with the field `more`, what was left out at the level warn */
  constructor(log: Logger, perMinute: number, summary: string) {
    this.#log = log;
    this.#perMinute = perMinute;
    this.#summary = summary;
  }

  /** At the level warn; what is beyond the limit at debug. */
  warn(fields: object, message: string): void {
    if (this.#lines === 0) setTimeout(() => this.#endMinute(), MINUTE_MS).unref();
    this.#lines++;
    this.#log[this.#lines > this.#perMinute ? 'debug' : 'warn'](fields, message);
  }

  #endMinute(): void {
    const more = this.#lines - this.#perMinute;
    this.#lines = 0;
    if (more > 0) this.#log.warn({ more }, this.#summary);
  }
}
