/** Where sessions are kept. The engine in memory is `MemoryStore`; others keep them on disk or in a fleet store. */
import { hash } from 'node:crypto';
import type { Session } from './session.js';

export interface StateStore {
  /** false: the store is full or has an entry with this SID; nothing was changed. */
  insert(session: Session): Promise<boolean>;
  get(sid: Uint8Array): Promise<Session | undefined>;
  /**
   * Replaces the entry by what `change` makes of it, atomically; null deletes it. `change` is pure: an engine may
   * call it again when somebody else was faster. Returns the entry before the change, undefined if there is none.
   */
  update(sid: Uint8Array, change: (session: Session) => Session | null): Promise<Session | undefined>;
  list(): Promise<Session[]>;
  size(): Promise<number>;
}

/** Sessions in this process; lost when it ends. */
export class MemoryStore implements StateStore {
  readonly #capacity: number;
  readonly #sessions = new Map<string, Session>();

  /** `capacity`: entries at most, so that logins cannot eat the memory. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async insert(session: Session): Promise<boolean> {
    const key = keyOf(session.sid);
    if (this.#sessions.size >= this.#capacity || this.#sessions.has(key)) return false;
    this.#sessions.set(key, session);
    return true;
  }

  async get(sid: Uint8Array): Promise<Session | undefined> {
    return this.#sessions.get(keyOf(sid));
  }

  async update(sid: Uint8Array, change: (session: Session) => Session | null): Promise<Session | undefined> {
    const key = keyOf(sid);
    const before = this.#sessions.get(key);
    if (!before) return undefined;
    const after = change(before);
    if (after) this.#sessions.set(key, after);
    else this.#sessions.delete(key);
    return before;
  }

  async list(): Promise<Session[]> {
    return [...this.#sessions.values()];
  }

  async size(): Promise<number> {
    return this.#sessions.size;
  }
}

/** Hash of the SID as key: a lookup then takes no time that depends on how much of a guessed SID is right. */
function keyOf(sid: Uint8Array): string {
  return hash('sha256', sid, 'base64');
}
