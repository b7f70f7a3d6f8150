/** The log of one client: its lines name the connection, and the session as soon as that is known. */
import type { Logger } from '../log.js';
import type { CloseReason } from '../native/types.js';
import { safeIdOf } from '../util/safe-id.js';
import type { Startup } from './secmod-calls.js';

export interface Ending {
  readonly reason: CloseReason;
  readonly detail: string;
  /** '' while nobody has logged in. */
  readonly user: string;
}

export class ClientLog {
  readonly #root: Logger;
  readonly #startup: Startup;
  #sid: Uint8Array | null = null;
  /** Made for the first line: most connections have none. */
  #lines: Logger | null = null;

  constructor(root: Logger, startup: Startup) {
    this.#root = root;
    this.#startup = startup;
  }

  get lines(): Logger {
    const { client } = this.#startup;
    this.#lines ??= this.#root.child(this.#sid ? { client, session: safeIdOf(this.#sid) } : { client });
    return this.#lines;
  }

  /** Its login or its cookie has led to this session. */
  identify(sid: Uint8Array | null): void {
    if (!sid || (this.#sid && Buffer.compare(this.#sid, sid) === 0)) return;
    this.#sid = Uint8Array.from(sid);
    this.#lines = null;
  }

  /** For those who look closely: main has a line for each session, and a limit for those of connections that fail. */
  ended({ reason, detail, user }: Ending): void {
    if (!this.#root.isLevelEnabled('debug')) return;
    const { remoteIp: ip, remotePort: port } = this.#startup;
    this.lines.debug({ ip, port, ...(user && { user }), reason, detail }, 'connection ended');
  }
}
