/**
 * Who was connected when, from where, and how much went through: one row for each tunnel, in SQLite. main alone
 * writes; `vpn history` reads. A failing disk costs history, never a session.
 */
import { chmodSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { fileReason } from '../util/file-reason.js';
import { makeDirectory } from '../util/make-directory.js';

/** Times are seconds since the epoch; bytes and packets are those inside the tunnel, `in` from the client. */
export interface HistoryRow {
  readonly session: string;
  /** Handle of the connection, unique with `connected`. */
  readonly client: number;
  readonly user: string;
  readonly group: string;
  readonly vhost: string;
  readonly remoteIp: string;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  readonly userAgent: string;
  readonly connected: number;
  /** null: still connected. */
  readonly disconnected: number | null;
  readonly reason: string | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

export type HistoryKey = Pick<HistoryRow, 'client' | 'connected'>;

/** Where it is when `history-file` is empty. */
export const defaultHistoryFile = (dataDir: string): string => join(resolve(dataDir), 'history.db');

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS tunnels (
    session TEXT NOT NULL, client INTEGER NOT NULL, user TEXT NOT NULL, "group" TEXT NOT NULL, vhost TEXT NOT NULL,
    remoteIp TEXT NOT NULL, ipv4 TEXT, ipv6 TEXT, userAgent TEXT NOT NULL,
    connected INTEGER NOT NULL, disconnected INTEGER, reason TEXT,
    bytesIn INTEGER NOT NULL, bytesOut INTEGER NOT NULL, packetsIn INTEGER NOT NULL, packetsOut INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (connected, client)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS tunnelsOfUser ON tunnels (user, connected);
  DROP INDEX IF EXISTS openTunnels;
  CREATE INDEX IF NOT EXISTS endedTunnels ON tunnels (disconnected);
  CREATE TABLE IF NOT EXISTS alive (only INTEGER PRIMARY KEY CHECK (only = 1), seen INTEGER NOT NULL);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
const OPEN_TUNNELS = 'SELECT client, connected FROM tunnels WHERE disconnected IS NULL';
const DAY_SEC = 86_400;
/** Rows of tunnels that have opened wait so long for others: a commit costs more than a row. */
const OPENED_WAIT_MS = 500;
/** Rows that are kept while the file cannot be written; the oldest gives way. */
const MAX_PENDING = 10_000;
/** A tunnel whose end nobody reported ended when it was seen last. */
const UNREPORTED = 'unspecified';

export interface HistoryOptions {
  readonly path: string;
  /** Rows are deleted this long after the end of their tunnel. Days. */
  readonly days: number;
  readonly log: Logger;
  /** Seconds since the epoch. */
  readonly now: () => number;
}

export class History {
  readonly #options: HistoryOptions;
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  /** Tunnels that the main before left open, as far as this one has not heard of them. */
  readonly #inherited = new Map<string, HistoryKey>();
  /** When the main before was last at work. */
  readonly #aliveBefore: number;
  /** Not written yet, by tunnel: those that opened a moment ago, and all while the file cannot be written. */
  readonly #pending = new Map<string, HistoryRow>();
  #timer: NodeJS.Timeout | null = null;
  #failing = false;

  /** Opens or creates the file, for root only. @throws VpnError OCS_HISTORY */
  constructor(options: HistoryOptions) {
    const { path } = options;
    this.#options = options;
    try {
      makeDirectory(dirname(path), 0o755);
      this.#db = new DatabaseSync(path, { timeout: 1000 });
      chmodSync(path, 0o600);
      // A commit is written, not waited for: a power failure may cost the last rows, a killed process none.
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
      this.#db.exec(SCHEMA);
      this.#put = this.#db.prepare(`
        INSERT INTO tunnels (session, client, user, "group", vhost, remoteIp, ipv4, ipv6, userAgent, connected,
          disconnected, reason, bytesIn, bytesOut, packetsIn, packetsOut, seen)
        VALUES (:session, :client, :user, :group, :vhost, :remoteIp, :ipv4, :ipv6, :userAgent, :connected,
          :disconnected, :reason, :bytesIn, :bytesOut, :packetsIn, :packetsOut, :seen)
        ON CONFLICT (connected, client) DO UPDATE SET disconnected = :disconnected, reason = :reason,
          bytesIn = max(bytesIn, :bytesIn), bytesOut = max(bytesOut, :bytesOut),
          packetsIn = max(packetsIn, :packetsIn), packetsOut = max(packetsOut, :packetsOut), seen = :seen`);
      this.#aliveBefore = Number(this.#db.prepare('SELECT seen FROM alive').get()?.seen ?? 0);
      for (const row of this.#db.prepare(OPEN_TUNNELS).all()) {
        const key = { client: Number(row.client), connected: Number(row.connected) };
        this.#inherited.set(keyText(key), key);
      }
    } catch (error) {
      throw new VpnError('OCS_HISTORY', { path, reason: fileReason(error) }, { cause: error });
    }
  }

  /**
   * Enters a tunnel, or what has changed about it. The end of one is written at once. An open one is within half a second:
   * should this process be killed meanwhile, the next one enters it again when its worker presents it.
   */
  put(row: HistoryRow): void {
    const key = keyText(row);
    this.#inherited.delete(key);
    this.#pending.set(key, row);
    const [oldest] = this.#pending.keys();
    if (this.#pending.size > MAX_PENDING && oldest !== undefined) this.#pending.delete(oldest);
    if (row.disconnected === null) this.#timer ??= setTimeout(() => this.#write(), OPENED_WAIT_MS).unref();
    else this.#write();
  }

  /**
   * From time to time, with the open tunnels of which the counters have changed: writes them, notes that all others are
   * still there, ends what the main before left and nobody has brought back (its worker died while no main was there),
   * and deletes what is too old. However many tunnels rest, they cost nothing here.
   */
  maintain(changed: readonly HistoryRow[]): void {
    const { now, days } = this.#options;
    this.#write();
    this.#guard(() => {
      this.#transaction(() => {
        for (const row of changed) {
          this.#inherited.delete(keyText(row));
          this.#put.run({ ...row, seen: now() });
        }
        this.#endInherited();
        this.#db.prepare('INSERT OR REPLACE INTO alive (only, seen) VALUES (1, ?)').run(now());
        const ended = this.#db.prepare('DELETE FROM tunnels WHERE disconnected < ?');
        ended.run(now() - days * DAY_SEC);
      });
      this.#inherited.clear();
    });
  }

  close(): void {
    this.#write();
    this.#guard(() => this.#db.close());
  }

  /** What waits. */
  #write(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#pending.size === 0) return;
    this.#guard(() => {
      this.#transaction(() => {
        const seen = this.#options.now();
        for (const row of this.#pending.values()) this.#put.run({ ...row, seen });
      });
      this.#pending.clear();
    });
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      // SQLite ends it by itself when the disk is full.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** They were there at least as long as the main that knew them. */
  #endInherited(): void {
    if (this.#inherited.size === 0) return;
    const end = this.#db.prepare(
      `UPDATE tunnels SET disconnected = max(seen, ?), reason = ? WHERE connected = ? AND client = ?
       AND disconnected IS NULL`,
    );
    for (const { connected, client } of this.#inherited.values())
      end.run(this.#aliveBefore, UNREPORTED, connected, client);
  }

  #guard(work: () => void): void {
    try {
      work();
      if (this.#failing) this.#options.log.info({ path: this.#options.path }, 'the history is written again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing)
        this.#options.log.error({ path: this.#options.path, err: error }, 'the history cannot be written');
      this.#failing = true;
    }
  }
}

const keyText = ({ client, connected }: HistoryKey): string => `${connected} ${client}`;
