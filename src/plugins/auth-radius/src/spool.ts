/**
 * Accounting records that no server has taken yet: one file each, in the order of their making. A record is on disk before
 * it is sent, so that it outlives this process; the number in its name is the order.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A record with what is needed to send it at any time later; no secrets. */
export interface AcctRecord {
  readonly status: 'start' | 'interim' | 'stop';
  readonly sessionId: string;
  /** Seconds since the epoch. */
  readonly at: number;
  /** Names of the dictionary with their values. */
  readonly attributes: readonly (readonly [string, string | number])[];
}

interface Entry {
  readonly number: number;
  readonly status: AcctRecord['status'];
  readonly sessionId: string;
}

const NAME = /^(\d{12})\.json$/;

export class Spool {
  readonly #folder: string;
  readonly #capacity: number;
  readonly #entries: Entry[] = [];
  #next = 1;

  /** Takes over what an earlier process left. `capacity`: records at most. */
  constructor(folder: string, capacity: number) {
    this.#folder = folder;
    this.#capacity = capacity;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder).sort()) {
      const number = Number(NAME.exec(name)?.[1] ?? 0);
      const record = number > 0 ? this.#read(number) : null;
      if (record) this.#entries.push({ number, status: record.status, sessionId: record.sessionId });
      else rmSync(join(folder, name), { recursive: true, force: true });
      this.#next = Math.max(this.#next, number + 1);
    }
  }

  get size(): number {
    return this.#entries.length;
  }

  /**
   * An interim record that still waits is replaced by the newer one of its session; it is not the one that `first` gave.
   * Returns false when there was no room and the oldest record had to go.
   */
  add(record: AcctRecord): boolean {
    const { status, sessionId } = record;
    if (status === 'interim')
      this.#dropWhere((entry) => entry.status === 'interim' && entry.sessionId === sessionId);
    const full = this.#entries.length >= this.#capacity;
    if (full) this.#dropOldest();
    const number = this.#next++;
    const path = this.#path(number);
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
    this.#entries.push({ number, status, sessionId });
    return !full;
  }

  /** The oldest record with its number; null when all are sent. */
  first(): { readonly number: number; readonly record: AcctRecord } | null {
    for (let entry = this.#entries[0]; entry; entry = this.#entries[0]) {
      const record = this.#read(entry.number);
      if (record) return { number: entry.number, record };
      this.remove(entry.number);
    }
    return null;
  }

  remove(number: number): void {
    this.#dropWhere((entry) => entry.number === number);
  }

  #dropOldest(): void {
    const oldest = this.#entries.find(({ status }) => status === 'interim') ?? this.#entries[0];
    if (oldest) this.remove(oldest.number);
  }

  #dropWhere(matches: (entry: Entry) => boolean): void {
    const index = this.#entries.findIndex(matches);
    const [entry] = index < 0 ? [] : this.#entries.splice(index, 1);
    if (entry) rmSync(this.#path(entry.number), { force: true });
  }

  /** null for a file that is gone or was not written whole. */
  #read(number: number): AcctRecord | null {
    try {
      const record = JSON.parse(readFileSync(this.#path(number), 'utf8')) as AcctRecord;
      return Array.isArray(record.attributes) ? record : null;
    } catch {
      return null;
    }
  }

  #path(number: number): string {
    return join(this.#folder, `${String(number).padStart(12, '0')}.json`);
  }
}
