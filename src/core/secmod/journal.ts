/**
 * A set of named JSON records on disk that survives SIGKILL at any moment. Changes are appended as lines, each with
 * its checksum; when the file has grown well beyond what it describes, it is written anew and moved into place.
 *
 * A line that was cut off by a crash is the last one and is dropped. Anything else that does not check means that the
 * file cannot be believed (a deletion may be missing): it is set aside and the set begins empty.
 */
import { hash } from 'node:crypto';
import { appendFileSync, constants } from 'node:fs';
import { type FileHandle, lstat, open, readFile, rename, rm } from 'node:fs/promises';
import type { Logger } from '../log.js';

export interface JournalOptions {
  readonly path: string;
  readonly log: Logger;
  /** Beside the user of this process: whose file may be believed. */
  readonly owner?: number | undefined;
  /** The records as they are now, for writing the file anew. */
  readonly records: () => Iterable<readonly [key: string, record: unknown]>;
}

type Change = readonly [key: string, record: unknown];

/** A deletion is the record null. */
const DELETED = null;
/** The file is written anew when it is larger than this and GROWTH times its size after the last time. Bytes. */
const MIN_REWRITE = 256 * 1024;
const GROWTH = 4;
/** A larger file was not written by us. */
const MAX_FILE = 512 << 20;
const CHECK_LENGTH = 16;
/** From one attempt to write to the next, while it fails. */
const RETRY_MS = 2000;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

export class Journal {
  readonly #options: JournalOptions;
  #file: FileHandle | null = null;
  #size = 0;
  #sizeWhenNew = 0;
  #queue: string[] = [];
  #writing: Promise<void> | null = null;
  #failing = false;
  #retry: NodeJS.Timeout | null = null;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Reads what is there. null: nothing, or nothing that can be believed (which is logged). */
  async load(): Promise<Map<string, unknown> | null> {
    const { path, log } = this.#options;
    const text = await this.#read();
    if (text === null) return null;
    const records = parse(text);
    if (typeof records === 'object') return records;
    const aside = `${path}.damaged`;
    await rename(path, aside);
    log.error({ path, aside, line: records }, 'the state file is damaged; it was set aside and begins empty');
    return null;
  }

  /**
   * Resolves when the change would outlive this process. Never rejects: without a disk the set lives on in memory, and
   * the whole of it is written as soon as that works again.
   */
  put(key: string, record: unknown): Promise<void> {
    this.#queue.push(lineOf([key, record]));
    return this.#begin();
  }

  delete(key: string): Promise<void> {
    return this.put(key, DELETED);
  }

  async close(): Promise<void> {
    await this.#writing;
    if (this.#retry) clearTimeout(this.#retry);
    await this.#file?.close();
    this.#file = null;
  }

  #begin(): Promise<void> {
    this.#writing ??= this.#write();
    return this.#writing;
  }

  /** What is queued, or all records after a failure. */
  async #write(): Promise<void> {
    const { path, log } = this.#options;
    // What comes in the same turn of the event loop is written at once.
    await Promise.resolve();
    do {
      try {
        if (this.#file === null || this.#failing || this.#isLong()) await this.#rewrite();
        else this.#append(this.#file);
        if (this.#failing) log.info({ path }, 'the state file is written again');
        this.#failing = false;
      } catch (error) {
        this.#queue = [];
        if (!this.#failing)
          log.error({ path, err: error }, 'the state file cannot be written; kept in memory');
        this.#failing = true;
        this.#retryLater();
      }
    } while (this.#queue.length > 0);
    // In the same turn as the last look at the queue: the next change starts another writer.
    this.#writing = null;
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      void this.#begin();
    }, RETRY_MS).unref();
  }

  /** Into the kernel's cache, of a file in memory as a rule: a thread for it would cost several times the write itself. */
  #append(file: FileHandle): void {
    const text = this.#queue.join('');
    this.#queue = [];
    appendFileSync(file.fd, text);
    this.#size += Buffer.byteLength(text);
  }

  #isLong(): boolean {
    return this.#size > MIN_REWRITE && this.#size > GROWTH * this.#sizeWhenNew;
  }

  /** What is queued is in the records already. */
  async #rewrite(): Promise<void> {
    const { path, records } = this.#options;
    this.#queue = [];
    const text = Array.from(records(), lineOf).join('');
    const temporary = `${path}.new`;
    const file = await open(temporary, NEW_FILE, 0o600);
    try {
      await file.writeFile(text);
      await file.datasync();
      await rename(temporary, path);
    } catch (error) {
      await file.close();
      // Half of it would keep the room that others need.
      await rm(temporary, { force: true });
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#size = Buffer.byteLength(text);
    this.#sizeWhenNew = this.#size;
  }

  async #read(): Promise<string | null> {
    const { path, log, owner } = this.#options;
    const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (found === null) return null;
    const owned = found.uid === process.geteuid?.() || found.uid === owner;
    const own = found.isFile() && owned && (found.mode & 0o077) === 0;
    if (own && found.size <= MAX_FILE) return await readFile(path, 'utf8');
    await rename(path, `${path}.damaged`);
    log.error(
      { path, mode: found.mode.toString(8), uid: found.uid },
      'the state file is not ours; set aside',
    );
    return null;
  }
}

function lineOf(change: Change): string {
  const text = JSON.stringify(change);
  return `${checkOf(text)} ${text}\n`;
}

const checkOf = (text: string): string => hash('sha256', text, 'hex').slice(0, CHECK_LENGTH);

/** The records, or the number of the line that does not check. */
function parse(text: string): Map<string, unknown> | number {
  const lines = text.split('\n');
  // After the last line end: nothing, or the beginning of a line that a crash cut off.
  lines.pop();
  const records = new Map<string, unknown>();
  for (const [index, line] of lines.entries()) {
    const json = line.slice(CHECK_LENGTH + 1);
    if (line.slice(0, CHECK_LENGTH) !== checkOf(json)) return index + 1;
    const [key, record] = JSON.parse(json) as Change;
    if (record === DELETED) records.delete(key);
    else records.set(key, record);
  }
  return records;
}
