/** Where sessions are kept, under keyOf their SID. Engines: `MemoryStore`, and `FileStore` over it. */
import { isExpired, type Session } from './session.js';

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
  /** Those that have expired. Takes no time for those that have not. `now` in seconds since the epoch. */
  expired(now: number): Promise<Session[]>;
  size(): Promise<number>;
}

/** Sessions in this process; lost when it ends. */
export class MemoryStore implements StateStore {
  readonly #capacity: number;
  readonly lossy = true;
  readonly #sessions = new Map<string, Session>();
  readonly #waiting = new Deadlines();

  /** `capacity`: entries at most, so that logins cannot eat the memory. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async insert(session: Session): Promise<boolean> {
    if (this.#sessions.size >= this.#capacity || this.#sessions.has(session.key)) return false;
    this.#set(session);
    return true;
  }

  async get(key: string): Promise<Session | undefined> {
    return this.#sessions.get(key);
  }

  async update(key: string, change: (session: Session) => Session | null): Promise<Session | undefined> {
    const before = this.#sessions.get(key);
    if (!before) return undefined;
    const after = change(before);
    if (after) this.#set(after);
    else {
      this.#sessions.delete(key);
      this.#waiting.delete(key);
    }
    return before;
  }

  /** Only a session without a tunnel can expire. */
  #set(session: Session): void {
    this.#sessions.set(session.key, session);
    if (session.inUse === 0) this.#waiting.set(session.key, session.expires);
    else this.#waiting.delete(session.key);
  }

  async expired(now: number): Promise<Session[]> {
    return this.#waiting.until(now).flatMap((key) => {
      const session = this.#sessions.get(key);
      return session && isExpired(session, now) ? [session] : [];
    });
  }

  async list(): Promise<Session[]> {
    return [...this.#sessions.values()];
  }

  async size(): Promise<number> {
    return this.#sessions.size;
  }
}

/** Keys by the second of their deadline. */
class Deadlines {
  readonly #ofKey = new Map<string, number>();
  readonly #keys = new Map<number, Set<string>>();
  /** There is none up to this second. */
  #found = 0;

  /** Replaces an earlier deadline of the key. */
  set(key: string, second: number): void {
    this.delete(key);
    this.#ofKey.set(key, second);
    // One that has passed is found at the next look.
    if (second <= this.#found) this.#found = second - 1;
    const others = this.#keys.get(second);
    if (others) others.add(key);
    else this.#keys.set(second, new Set([key]));
  }

  delete(key: string): void {
    const second = this.#ofKey.get(key);
    if (second === undefined) return;
    this.#ofKey.delete(key);
    const others = this.#keys.get(second);
    others?.delete(key);
    if (others?.size === 0) this.#keys.delete(second);
  }

  /** Keys that have their deadline at `now` or before it; again each time until they are deleted. */
  until(now: number): string[] {
    const due = [...this.#secondsUntil(now)];
    this.#found = due.length > 0 ? Math.min(...due) - 1 : now;
    return due.flatMap((second) => [...(this.#keys.get(second) ?? [])]);
  }

  *#secondsUntil(now: number): Generator<number> {
    // After a long time, or a step of the clock, there are fewer deadlines than seconds.
    if (now - this.#found > this.#keys.size) {
      for (const second of this.#keys.keys()) if (second <= now) yield second;
    } else {
      for (let second = this.#found + 1; second <= now; second++) if (this.#keys.has(second)) yield second;
    }
  }
}
