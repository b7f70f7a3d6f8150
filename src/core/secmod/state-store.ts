/** Where sessions are kept, under keyOf their SID. Engines: `MemoryStore`, and `FileStore` over it. */
import type { Session } from './session.js';

export interface StateStore {
  /** What there was has been lost: sessions that others still know may be entered again. */
  readonly lossy: boolean;
  /** false: the store is full or has an entry with this key; nothing was changed. */
  insert(session: Session): Promise<boolean>;
  get(key: string): Promise<Session | undefined>;
  /**
   * Replaces the entry by what `change` makes of it, atomically; null deletes it. `change` is pure: an engine may
   * call it again when somebody else was faster. Returns the entry before the change, undefined if there is none.
   */
  update(key: string, change: (session: Session) => Session | null): Promise<Session | undefined>;
  list(): Promise<Session[]>;
  size(): Promise<number>;
}

/** Sessions in this process; lost when it ends. */
export class MemoryStore implements StateStore {
  readonly #capacity: number;
  readonly lossy = true;
  readonly #sessions = new Map<string, Session>();

  /** `capacity`: entries at most, so that logins cannot eat the memory. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async insert(session: Session): Promise<boolean> {
    if (this.#sessions.size >= this.#capacity || this.#sessions.has(session.key)) return false;
    this.#sessions.set(session.key, session);
    return true;
  }

  async get(key: string): Promise<Session | undefined> {
    return this.#sessions.get(key);
  }

  async update(key: string, change: (session: Session) => Session | null): Promise<Session | undefined> {
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
