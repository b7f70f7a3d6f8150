/**
 * Several servers for the same purpose: the first that answers. One that did not is asked last for a while; meanwhile it is
 * asked how it is (Status-Server, RFC 5997), and gets its place back as soon as it answers.
 */
import { randomBytes } from 'node:crypto';
import { codes } from './dictionary.js';
import { sealAccess } from './digest.js';
import { AUTHENTICATOR_BYTES, type Packet } from './packet.js';
import { pause } from './pause.js';
import type { ServerAddress } from './radcli-conf.js';
import { type LinkOptions, type PacketMaker, ServerLink } from './server-link.js';

/** So often within the time that a server is asked last it is asked how it is, but not more often than every 30 s (RFC 5997 §4). */
const WATCHES = 10;
const LONGEST_WATCH_MS = 30_000;

export interface FailoverOptions extends LinkOptions {
  /** Somebody waits for the answer: with nobody to ask instead of the last server, it is given time to start again. */
  readonly patient: boolean;
  /** 0: a server that did not answer keeps its place. */
  readonly deadTimeMs: number;
  readonly nasIdentifier: string;
}

export class Failover {
  readonly #links: readonly ServerLink[];
  readonly #options: FailoverOptions;
  readonly #watchMs: number;
  readonly #closing = new AbortController();
  /** Monotonic time at which a server that did not answer gets its place back. */
  readonly #deadUntil = new Map<ServerLink, number>();
  readonly #watched = new Set<ServerLink>();

  constructor(servers: readonly ServerAddress[], options: FailoverOptions) {
    this.#links = servers.map((server) => new ServerLink(server, options));
    this.#options = options;
    this.#watchMs = Math.max(options.timeoutMs, Math.min(LONGEST_WATCH_MS, options.deadTimeMs / WATCHES));
  }

  /** Rejects when no server answered. */
  async exchange(make: PacketMaker, signal: AbortSignal | null): Promise<Packet> {
    const failures: string[] = [];
    const links = this.#inOrder();
    for (const link of links) {
      try {
        const reply = await link.exchange(make, signal, this.#options.patient && link === links.at(-1));
        this.#deadUntil.delete(link);
        return reply;
      } catch (error) {
        if (signal?.aborted) throw error;
        const { message } = error as Error;
        failures.push(message);
        this.#setBack(link, message);
      }
    }
    throw new Error(`no RADIUS server answered: ${failures.join('; ')}`);
  }

  close(): void {
    this.#closing.abort();
    for (const link of this.#links) link.close();
  }

  #inOrder(): ServerLink[] {
    const isDead = (link: ServerLink): boolean => this.#isDead(link);
    return [...this.#links.filter((link) => !isDead(link)), ...this.#links.filter(isDead)];
  }

  #isDead(link: ServerLink): boolean {
    return (this.#deadUntil.get(link) ?? 0) > performance.now();
  }

  #setBack(link: ServerLink, reason: string): void {
    const { deadTimeMs, log } = this.#options;
    this.#deadUntil.set(link, performance.now() + deadTimeMs);
    log.warn({ server: link.name, reason }, 'RADIUS server does not answer');
    if (this.#links.length === 1 || this.#watched.has(link)) return;
    this.#watched.add(link);
    void this.#watch(link).finally(() => this.#watched.delete(link));
  }

  /** Until it answers, or has its place back anyway. */
  async #watch(link: ServerLink): Promise<void> {
    const { signal } = this.#closing;
    while (this.#isDead(link) && !signal.aborted) {
      try {
        await pause(this.#watchMs, signal);
        // A copy of it would say no more than the next one (RFC 5997 §4.2).
        await link.exchange((id, secret) => this.#status(id, secret), signal, false, 0);
        this.#deadUntil.delete(link);
        this.#options.log.info({ server: link.name }, 'RADIUS server answers again');
      } catch (error) {
        this.#options.log.debug({ server: link.name, reason: String(error) }, 'RADIUS server is still dead');
      }
    }
  }

  #status(id: number, secret: Uint8Array): Buffer {
    const authenticator = randomBytes(AUTHENTICATOR_BYTES);
    return sealAccess(
      codes.statusServer,
      id,
      authenticator,
      [['NAS-Identifier', this.#options.nasIdentifier]],
      secret,
    );
  }
}
