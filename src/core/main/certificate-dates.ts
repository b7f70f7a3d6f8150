/** Until when the server's certificates are valid: read from their files, again when a file has changed. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { ServerConfig } from '../config/schema.js';

export interface CertificateDate {
  readonly vhost: string;
  /** Position in server-cert, from 0. */
  readonly key: number;
  /** Seconds since the epoch; 0 when the file cannot be read as a certificate. */
  readonly expires: number;
}

export class CertificateDates {
  readonly #config: () => ServerConfig;
  readonly #known = new Map<string, { mtimeMs: number; expires: number }>();

  /** `config`: the one in force. */
  constructor(config: () => ServerConfig) {
    this.#config = config;
  }

  list(): CertificateDate[] {
    const config = this.#config();
    return [config.default, ...config.vhosts.values()].flatMap(({ name, 'server-cert': files }) =>
      files.map((path, key) => ({ vhost: name, key, expires: this.#expires(path) })),
    );
  }

  #expires(path: string): number {
    try {
      const { mtimeMs } = statSync(path);
      const known = this.#known.get(path);
      if (known?.mtimeMs === mtimeMs) return known.expires;
      const { validTo } = new X509Certificate(readFileSync(path));
      const expires = Math.floor(Date.parse(validTo) / 1000);
      this.#known.set(path, { mtimeMs, expires });
      return expires;
    } catch {
      // secmod has taken its own look at the file; to a scraper a date in the past is the loudest that can be said.
      return 0;
    }
  }
}
