/** Points against addresses (those of one owner together) that misbehave (reference ipc-and-processes §9). */
import { ownerOf } from '../util/ip-owner.js';

const MAX_ENTRIES = 65_536;

export interface BanOptions {
  /** Points at which an address is refused, 0: no bans at all. */
  readonly maxScore: number;
  readonly banTimeSec: number;
  /** Points are forgotten this long after the first of them. */
  readonly resetTimeSec: number;
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** Addresses of the server's own networks are counted, never refused. */
  readonly isLocal: (ip: string) => boolean;
  /** Entries kept at most, the oldest go first: an attacker with many addresses must not fill main's memory. */
  readonly maxEntries?: number;
  /** A ban begins, or is lifted before its time (`expires` 0). */
  readonly onChange?: (entry: BanEntry) => void;
}

export interface BanEntry {
  readonly ip: string;
  readonly score: number;
  /** Seconds since the epoch; 0 while the score is below the limit. */
  readonly expires: number;
}

interface Points {
  score: number;
  since: number;
  expires: number;
}

export class BanTable {
  readonly #options: BanOptions;
  readonly #entries = new Map<string, Points>();
  /** Those of them that are banned. */
  readonly #banned = new Map<string, Points>();

  constructor(options: BanOptions) {
    this.#options = options;
  }

  /** Adds points and says whether the address may go on. */
  add(ip: string, points: number): boolean {
    const { maxScore, banTimeSec, now } = this.#options;
    if (maxScore === 0 || banTimeSec === 0) return true;
    const key = ownerOf(ip);
    const entry = this.#current(key) ?? { score: 0, since: now(), expires: 0 };
    // A running ban is not extended by further attempts.
    if (entry.expires === 0) {
      entry.score += points;
      if (entry.score >= maxScore) entry.expires = now() + banTimeSec;
      if (entry.score > 0) this.#store(key, entry);
      if (entry.expires !== 0) this.#changed(key, entry);
    }
    return entry.expires === 0 || this.#options.isLocal(ip);
  }

  /** Takes points back that turned out to be undeserved (a connection that was a health probe). */
  refund(ip: string, points: number): void {
    const key = ownerOf(ip);
    const entry = this.#current(key);
    if (entry === null || entry.expires !== 0) return;
    entry.score = Math.max(0, entry.score - points);
    if (entry.score === 0) this.#drop(key);
  }

  isBanned(ip: string): boolean {
    const entry = this.#current(ownerOf(ip));
    return entry !== null && entry.expires !== 0 && !this.#options.isLocal(ip);
  }

  /** Forgets an address. False if there was nothing. */
  unban(ip: string): boolean {
    const key = ownerOf(ip);
    const entry = this.#current(key);
    this.#drop(key);
    if (entry !== null && entry.expires !== 0) this.#changed(key, { ...entry, expires: 0 });
    return entry !== null;
  }

  /** The bans in force, the oldest first: what outlives a main that is killed. */
  snapshot(): BanEntry[] {
    for (const key of this.#banned.keys()) this.#current(key);
    return entriesOf(this.#banned);
  }

  /** Bans of the main before. Those that are over by now are left out. */
  restore(bans: readonly BanEntry[]): void {
    const now = this.#options.now();
    for (const { ip, score, expires } of bans)
      if (expires > now) this.#store(ip, { score, since: now, expires });
  }

  /** All entries that still count. */
  list(): BanEntry[] {
    this.expire();
    return entriesOf(this.#entries);
  }

  bannedCount(): number {
    return this.snapshot().length;
  }

  /** Drops what time has made meaningless. Looks at the bans, and at the oldest points only. */
  expire(): void {
    for (const key of this.#banned.keys()) this.#current(key);
    // In the order of their first points.
    for (const key of this.#entries.keys()) if (this.#current(key)?.expires === 0) break;
  }

  #changed(ip: string, { score, expires }: Points): void {
    this.#options.onChange?.({ ip, score, expires });
  }

  #current(key: string): Points | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    const { now: clock, banTimeSec } = this.#options;
    const now = clock();
    // A clock that was put back must not make them last longer.
    entry.since = Math.min(entry.since, now);
    entry.expires = Math.min(entry.expires, now + banTimeSec);
    const over = entry.expires === 0 ? now >= entry.since + this.#options.resetTimeSec : now >= entry.expires;
    if (!over) return entry;
    this.#drop(key);
    return null;
  }

  #drop(key: string): void {
    this.#entries.delete(key);
    this.#banned.delete(key);
  }

  #store(key: string, entry: Points): void {
    this.#entries.set(key, entry);
    if (entry.expires !== 0) this.#banned.set(key, entry);
    if (this.#entries.size <= (this.#options.maxEntries ?? MAX_ENTRIES)) return;
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#drop(oldest.value);
  }
}

const entriesOf = (points: ReadonlyMap<string, Points>): BanEntry[] =>
  [...points].map(([ip, { score, expires }]) => ({ ip, score, expires }));
