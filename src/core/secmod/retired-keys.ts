/** Keys that a reload replaced, for the handshakes that have shown their certificates already. */
import type { KeyObject } from 'node:crypto';
import type { ServerKey } from './keys.js';

/** A worker gives a handshake 30 s, and begins some with the old certificates until it has read the new ones. */
export const RETIRED_KEY_MS = 60_000;

type KeysOfVhosts = ReadonlyMap<string, { readonly keys: readonly ServerKey[] }>;

interface Retired {
  readonly key: KeyObject;
  readonly sinceMs: number;
}

export class RetiredKeys {
  readonly #keys = new Map<string, Retired>();

  /** Keeps what `before` has and `after` has not, and forgets what has come back. `nowMs`: since the epoch. */
  replace(before: KeysOfVhosts, after: KeysOfVhosts, nowMs: number): void {
    for (const [vhost, { keys }] of before)
      for (const { fingerprint, privateKey } of keys)
        this.#keys.set(nameOf(vhost, fingerprint), { key: privateKey, sinceMs: nowMs });
    for (const [vhost, { keys }] of after)
      for (const { fingerprint } of keys) this.#keys.delete(nameOf(vhost, fingerprint));
  }

  find(vhost: string, fingerprint: string): KeyObject | undefined {
    return this.#keys.get(nameOf(vhost, fingerprint))?.key;
  }

  /** Forgets those whose time is over, all of them when the clock was set back. */
  expire(nowMs: number): void {
    for (const [name, { sinceMs }] of this.#keys)
      if (nowMs < sinceMs || nowMs >= sinceMs + RETIRED_KEY_MS) this.#keys.delete(name);
  }
}

const nameOf = (vhost: string, fingerprint: string): string => `${vhost} ${fingerprint}`;
