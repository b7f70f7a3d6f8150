/**
 * What main must know again after it was killed: the key of its tickets, which handles were given out, the figures
 * of `show status`, and who is banned. One small file in the run directory, for root only; an orderly stop removes it, since then no
 * tunnel is left that could come back.
 */
import { randomBytes } from 'node:crypto';
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { fileReason } from '../util/file-reason.js';
import type { BanEntry } from './bans.js';
import type { StatsSnapshot } from './server-stats.js';

const VERSION = 2;
const KEY_BYTES = 32;
/** Handles are reserved in blocks, so that not every connection writes the file. */
const HANDLE_BLOCK = 1024;
const MAX_HANDLE = 0xffff_ffff;
const SAVE_DELAY_MS = 200;
/** From one attempt to write to the next, while it fails. */
const RETRY_MS = 2000;

interface StateFile {
  readonly v: number;
  readonly key: string;
  readonly nextHandle: number;
  readonly stats: StatsSnapshot | null;
  readonly bans: readonly BanEntry[];
}

/** Where the state is taken from whenever it is written. */
export interface StateSources {
  readonly stats: () => StatsSnapshot;
  readonly bans: () => readonly BanEntry[];
}

export class MainState {
  /** AES-256 key of the tickets. */
  readonly ticketKey: Buffer;
  /** Figures of the main before, null after an orderly stop. */
  readonly savedStats: StatsSnapshot | null;
  /** Bans of the main before. */
  readonly savedBans: readonly BanEntry[];
  readonly #path: string;
  readonly #log: Logger;
  #sources: StateSources | null = null;
  #next: number;
  #reserved: number;
  #timer: NodeJS.Timeout | null = null;
  #failing = false;

  /** Reads the file, or begins anew when there is none that can be believed. */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    const found = read(path, log);
    this.ticketKey = found ? Buffer.from(found.key, 'base64') : randomBytes(KEY_BYTES);
    this.savedStats = found?.stats ?? null;
    this.savedBans = found?.bans ?? [];
    this.#next = found?.nextHandle ?? 1;
    this.#reserved = this.#next;
  }

  /** Writes the file for the first time. Throws OCS_RUN_DIR: without it no tunnel could come back. */
  open(sources: StateSources): void {
    this.#sources = sources;
    try {
      this.#write();
    } catch (error) {
      const details = { path: dirname(this.#path), reason: fileReason(error) };
      throw new VpnError('OCS_RUN_DIR', details, { cause: error });
    }
  }

  /** A handle that no main on this run directory has given out since the last orderly stop (until 2^32 were). */
  readonly nextHandle = (): number => {
    const handle = this.#next;
    this.#next = handle >= MAX_HANDLE ? 1 : handle + 1;
    if (handle >= this.#reserved || this.#next === 1) {
      this.#reserved = Math.min(this.#next + HANDLE_BLOCK, MAX_HANDLE);
      this.#save();
    }
    return handle;
  };

  /** Figures or bans have changed; written in a moment. */
  touch(): void {
    this.#saveIn(SAVE_DELAY_MS);
  }

  /** Writes what is pending, for the next main. */
  flush(): void {
    if (this.#timer) this.#save();
  }

  /** After an orderly stop. */
  remove(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    rmSync(this.#path, { force: true });
  }

  #save(): void {
    const path = this.#path;
    try {
      this.#write();
      if (this.#failing) this.#log.info({ path }, 'the state of main is saved again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log.error({ path, err: error }, 'the state of main cannot be saved');
      this.#failing = true;
      this.#saveIn(RETRY_MS);
    }
  }

  #saveIn(milliseconds: number): void {
    this.#timer ??= setTimeout(() => this.#save(), milliseconds).unref();
  }

  #write(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const state: StateFile = {
      v: VERSION,
      key: this.ticketKey.toString('base64'),
      nextHandle: this.#reserved,
      stats: this.#sources?.stats() ?? null,
      bans: this.#sources?.bans() ?? [],
    };
    const temporary = `${this.#path}.new`;
    rmSync(temporary, { force: true });
    try {
      writeFileSync(temporary, JSON.stringify(state), { mode: 0o600, flag: 'wx' });
      renameSync(temporary, this.#path);
    } catch (error) {
      // Half of it would keep the room that others need.
      rmSync(temporary, { force: true });
      throw error;
    }
  }
}

function read(path: string, log: Logger): StateFile | null {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return null;
  const own = found.isFile() && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0;
  try {
    const state = own ? (JSON.parse(readFileSync(path, 'utf8')) as Partial<StateFile>) : {};
    if (isState(state)) return state;
  } catch (error) {
    log.debug({ path, err: error }, 'state file of main');
  }
  log.error({ path }, 'the state file of main cannot be believed; tunnels of before will not be adopted');
  rmSync(path, { force: true, recursive: true });
  return null;
}

function isState(state: Partial<StateFile>): state is StateFile {
  const { v, key, nextHandle, stats, bans } = state;
  return (
    v === VERSION &&
    typeof key === 'string' &&
    Buffer.from(key, 'base64').length === KEY_BYTES &&
    Number.isInteger(nextHandle) &&
    Number(nextHandle) > 0 &&
    typeof stats === 'object' &&
    Array.isArray(bans)
  );
}
