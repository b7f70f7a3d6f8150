/**
 * Sessions in memory and in a file, so that cookies stay good when this process is killed. Only completed logins are
 * kept there; one that is under way ends with its worker's request. The file holds no SID (see keyOf).
 */
import type { Logger } from '../log.js';
import { Journal } from './journal.js';
import type { Session } from './session.js';
import { MemoryStore, type StateStore } from './state-store.js';

export interface FileStoreOptions {
  readonly path: string;
  /** Entries at most. */
  readonly capacity: number;
  readonly log: Logger;
  /** Uid that the process has later, which the file of an earlier one may belong to. */
  readonly owner?: number | undefined;
}

/** Raised when the form of the records changes; records of another version are not read. */
const VERSION = 1;

interface StoredSession {
  readonly v: typeof VERSION;
  readonly session: Session;
}

export class FileStore implements StateStore {
  readonly lossy: boolean;
  readonly #memory: MemoryStore;
  readonly #journal: Journal;
  /** What the file holds. */
  readonly #kept: Map<string, Session>;

  private constructor(memory: MemoryStore, journal: Journal, kept: Map<string, Session>, lossy: boolean) {
    this.#memory = memory;
    this.#journal = journal;
    this.#kept = kept;
    this.lossy = lossy;
  }

  /** Opens or creates the file. @throws the file system's error when it can be neither read nor set aside */
  static async open({ path, capacity, log, owner }: FileStoreOptions): Promise<FileStore> {
    const memory = new MemoryStore(capacity);
    const kept = new Map<string, Session>();
    const records = () => Array.from(kept, ([key, session]) => [key, stored(session)] as const);
    const journal = new Journal({ path, log, records, owner });
    const loaded = await journal.load();
    for (const [key, record] of loaded ?? []) {
      const { v, session } = record as StoredSession;
      if (v === VERSION && (await memory.insert(session))) kept.set(key, session);
    }
    if (kept.size > 0) log.info({ path, sessions: kept.size }, 'sessions of before are known again');
    return new FileStore(memory, journal, kept, loaded === null);
  }

  async insert(session: Session): Promise<boolean> {
    const inserted = await this.#memory.insert(session);
    if (inserted) await this.#keep(session.key, session);
    return inserted;
  }

  get(key: string): Promise<Session | undefined> {
    return this.#memory.get(key);
  }

  async update(key: string, change: (session: Session) => Session | null): Promise<Session | undefined> {
    const result: { after: Session | null } = { after: null };
    const before = await this.#memory.update(key, (session) => {
      result.after = change(session);
      return result.after;
    });
    if (before && result.after !== before) await this.#keep(key, result.after);
    return before;
  }

  list(): Promise<Session[]> {
    return this.#memory.list();
  }

  expired(now: number): Promise<Session[]> {
    return this.#memory.expired(now);
  }

  size(): Promise<number> {
    return this.#memory.size();
  }

  /** Writes what is under way. */
  close(): Promise<void> {
    return this.#journal.close();
  }

  async #keep(key: string, session: Session | null): Promise<void> {
    if (session?.status === 'COMPLETED') {
      this.#kept.set(key, session);
      await this.#journal.put(key, stored(session));
    } else if (this.#kept.delete(key)) await this.#journal.delete(key);
  }
}

const stored = (session: Session): StoredSession => ({ v: VERSION, session });
