/** Several servers for the same purpose: the first that answers; one that did not is asked last for a while. */

import type { Packet } from './packet.js';
import type { ServerAddress } from './radcli-conf.js';
import { type LinkOptions, type PacketMaker, ServerLink } from './server-link.js';

export class Failover {
  readonly #links: readonly ServerLink[];
  readonly #deadTimeMs: number;
  readonly #log: LinkOptions['log'];
  /** Somebody waits for the answer: with nobody to ask instead of the last server, it is given time to start again. */
  readonly #patient: boolean;
  /** Monotonic time at which a server that did not answer gets its place back. */
  readonly #deadUntil = new Map<ServerLink, number>();

  constructor(
    servers: readonly ServerAddress[],
    deadTimeMs: number,
    options: LinkOptions & { readonly patient: boolean },
  ) {
    this.#links = servers.map((server) => new ServerLink(server, options));
    this.#deadTimeMs = deadTimeMs;
    this.#log = options.log;
    this.#patient = options.patient;
  }

  /** Rejects when no server answered. */
  async exchange(make: PacketMaker, signal: AbortSignal | null): Promise<Packet> {
    const failures: string[] = [];
    const links = this.#inOrder();
    for (const link of links) {
      try {
        const reply = await link.exchange(make, signal, this.#patient && link === links.at(-1));
        this.#deadUntil.delete(link);
        return reply;
      } catch (error) {
        if (signal?.aborted) throw error;
        const { message } = error as Error;
        failures.push(message);
        this.#deadUntil.set(link, performance.now() + this.#deadTimeMs);
        this.#log.warn({ server: link.name, reason: message }, 'RADIUS server does not answer');
      }
    }
    throw new Error(`no RADIUS server answered: ${failures.join('; ')}`);
  }

  close(): void {
    for (const link of this.#links) link.close();
  }

  #inOrder(): ServerLink[] {
    const now = performance.now();
    const isDead = (link: ServerLink): boolean => (this.#deadUntil.get(link) ?? 0) > now;
    return [...this.#links.filter((link) => !isDead(link)), ...this.#links.filter(isDead)];
  }
}
