/**
 * The tokens of a users.oath file. A code is checked and its use written down under one lock, so that of two logins
 * with the same code one fails, also when they come through two processes.
 */
import { type FileHandle, open, realpath, rename, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadAddon } from './addon.js';
import { parseOathLine, usedLine } from './oath-line.js';
import { acceptCode } from './otp.js';

const MAX_FILE_BYTES = 16 << 20;
const LOCK_WAIT_MS = 5000;
const LOCK_RETRY_MS = 10;

const DECOY_NAME = 'nobody';
const DECOY = `HOTP/T30 ${DECOY_NAME} - ${'00'.repeat(20)}`;

export interface Attempt {
  readonly userName: string;
  /** PIN, if the token has one, and code. */
  readonly typed: string;
  readonly remoteIp: string;
  readonly now: Date;
}

export class OathFile {
  readonly path: string;
  /** The last check under way: one at a time here, so that only other processes are waited for with a timer. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  /** Numbers of the lines that are no comment and no token that is supported. Rejects if the file cannot be read. */
  async unsupportedLines(): Promise<number[]> {
    const { lines } = await readLines(this.path);
    return lines.flatMap((line, i) => (/^\s*(#|$)/.test(line) || parseOathLine(utf8(line)) ? [] : i + 1));
  }

  /**
   * true: the code is right, and its use is in the file. Rejects when the file cannot be read, locked or written:
   * a code whose use is not written down must not count.
   */
  use(attempt: Attempt): Promise<boolean> {
    const run = this.#last.then(() => this.#useLocked(attempt));
    this.#last = run.catch(() => {});
    return run;
  }

  async #useLocked(attempt: Attempt): Promise<boolean> {
    const target = await realpath(this.path);
    const lock = await takeLock(`${target}.lock`);
    try {
      const { lines, mode, uid, gid } = await readLines(target);
      const index = lines.findIndex((line) => replacement(line, attempt) !== null);
      const changed = replacement(lines[index] ?? '', attempt);
      if (changed === null) {
        // A user who has no token takes the time of one who has.
        if (!lines.some((line) => parseOathLine(utf8(line))?.userName === attempt.userName))
          replacement(DECOY, { ...attempt, userName: DECOY_NAME });
        return false;
      }
      lines.splice(index, 1, latin1(changed));
      await replaceFile(target, lines.join('\n'), { mode, uid, gid });
      return true;
    } finally {
      await lock.close();
    }
  }
}

/** The line after this attempt, null if it does not let the user in. A user may have several tokens. */
function replacement(line: string, { userName, typed, remoteIp, now }: Attempt): string | null {
  const entry = parseOathLine(utf8(line));
  if (entry?.userName !== userName || !typed.startsWith(entry.pin)) return null;
  const code = typed.slice(entry.pin.length);
  const counter = acceptCode(entry, code, now.getTime() / 1000);
  return counter === null ? null : usedLine(entry, counter, code, now, remoteIp);
}

interface Content {
  /** As latin1: bytes of lines that are not touched stay as they are. */
  readonly lines: string[];
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

async function readLines(path: string): Promise<Content> {
  const file = await open(path, 'r');
  try {
    const { size, mode, uid, gid } = await file.stat();
    if (size > MAX_FILE_BYTES) throw new Error(`${path} is larger than ${MAX_FILE_BYTES} bytes`);
    return { lines: (await file.readFile('latin1')).split('\n'), mode: mode & 0o7777, uid, gid };
  } finally {
    await file.close();
  }
}

/** A lock of fcntl on a file of its own, as liboath takes it; it ends with the descriptor, so also with a process. */
async function takeLock(path: string): Promise<FileHandle> {
  for (const start = performance.now(); ; await sleep(LOCK_RETRY_MS)) {
    const file = await open(path, 'a', 0o600);
    let held = false;
    try {
      held = loadAddon().tryLock(file.fd) && (await isAt(file, path));
      if (held) return file;
    } finally {
      if (!held) await file.close();
    }
    if (performance.now() - start >= LOCK_WAIT_MS) throw new Error(`${path} is held by another program`);
  }
}

/** false: liboath removed the lock file meanwhile, and others lock its successor. */
async function isAt(file: FileHandle, path: string): Promise<boolean> {
  const named = await open(path, 'r').catch(ignoreMissing);
  if (!named) return false;
  try {
    const [own, other] = await Promise.all([file.stat(), named.stat()]);
    return own.ino === other.ino && own.dev === other.dev;
  } finally {
    await named.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}

/** Readers see the old or the new file; it is on the disk when this returns. */
async function replaceFile(
  path: string,
  text: string,
  { mode, uid, gid }: Omit<Content, 'lines'>,
): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text, 'latin1');
    await file.chown(uid, gid);
    await file.chmod(mode);
    await file.sync();
    await rename(temporary, path);
  } finally {
    await file.close();
  }
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}
