/**
 * Keys of TLS session tickets. main makes them, replaces them as time goes by, and gives them with every connection to
 * the worker that serves it, so that a client can resume at any worker. They are never written down.
 */
import { randomBytes } from 'node:crypto';

/** name, key of the cipher, key of the MAC (ticket_keys.h) */
const KEY_BYTES = 80;
/** A key seals for so long, and opens for as long again. Seconds. */
const PERIOD_SEC = 600;

export interface TlsTickets {
  /** One or two keys, the newest first. */
  readonly keys: Uint8Array;
  /** How long a TLS session can be resumed. Seconds. */
  readonly lifetimeSec: number;
}

interface Key {
  readonly bytes: Buffer;
  readonly madeAt: number;
}

export interface TlsTicketKeysOptions {
  /** Milliseconds of a clock that only goes forward. */
  readonly nowMs: () => number;
  /** cookie-timeout, seconds. */
  readonly lifetimeSec: number;
  /** Changes with the configuration and the certificates; no session of before can be resumed then. */
  readonly generation: number;
}

export class TlsTicketKeys {
  readonly #options: TlsTicketKeysOptions;
  #keys: readonly Key[] = [];
  #generation: number;

  constructor(options: TlsTicketKeysOptions) {
    this.#options = options;
    this.#generation = options.generation;
  }

  current(): TlsTickets {
    const { nowMs, lifetimeSec, generation } = this.#options;
    if (generation !== this.#generation) this.#keys = [];
    this.#generation = generation;
    this.#replaceOld(nowMs() / 1000);
    return {
      keys: Uint8Array.from(Buffer.concat(this.#keys.map(({ bytes }) => bytes))),
      lifetimeSec: Math.min(lifetimeSec, PERIOD_SEC),
    };
  }

  #replaceOld(now: number): void {
    const age = ({ madeAt }: Key): number => now - madeAt;
    const usable = this.#keys.filter((key) => age(key) < 2 * PERIOD_SEC);
    const seals = usable.some((key) => age(key) < PERIOD_SEC);
    this.#keys = seals ? usable : [{ bytes: randomBytes(KEY_BYTES), madeAt: now }, ...usable];
  }
}
