/** The log of one client: its lines name the connection, and the session as soon as that is known. */
import type { Logger } from '../log.js';
import type { CloseReason } from '../native/types.js';
import { safeIdOf } from '../util/safe-id.js';
import type { Startup } from './secmod-calls.js';

export interface Ending {
  readonly reason: CloseReason;
  readonly detail: string;
  /** Why it failed, if it did. */
  readonly failure: string | null;
  /** '' while nobody has logged in. */
  readonly user: string;
}

export class ClientLog {
  readonly #root: Logger;
  readonly #startup: Startup;
  #session = '';
  #lines: Logger;

  constructor(root: Logger, startup: Startup) {
    this.#root = root;
    this.#startup = startup;
    this.#lines = root.child({ client: startup.client });
  }

  get lines(): Logger {
    return this.#lines;
  }

  /** Its login or its cookie has led to this session. */
  identify(sid: Uint8Array | null): void {
    const session = sid ? safeIdOf(sid) : this.#session;
    if (session === this.#session) return;
    this.#session = session;
    this.#lines = this.#root.child({ client: this.#startup.client, session });
  }

  /** One line for each connection that failed; sessions are logged by main, probes not at all. */
  ended({ reason, detail, failure, user }: Ending): void {
    const { remoteIp: ip, remotePort: port } = this.#startup;
    const who = { ip, port, ...(user && { user }) };
    if (reason === 'health-probe') return;
    if (failure) this.#lines.warn(who, `connection failed: ${failure}`);
    else this.#lines.debug({ ...who, reason, detail }, 'connection ended');
  }
}
