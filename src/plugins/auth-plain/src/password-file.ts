/** The users of an ocpasswd file, read again when the file has changed. */
import { type BigIntStats, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type OcpasswdEntry, parseOcpasswdLine } from '../../../core/plugin-api/ocpasswd-format.js';

const MAX_FILE_BYTES = 64 << 20;

export interface Users {
  find(userName: string): OcpasswdEntry | undefined;
  /**
   * Hash whose method and cost stand in for that of an unknown user: the first in the file, so that both take
   * the same time where all hashes are of one kind.
   */
  readonly typicalHash: string;
  /** All groups that users are in, sorted. */
  groups(): string[];
}

/** For a file without users: what ocpasswd would write, `$5$` with 5000 rounds. */
const FALLBACK_HASH = '$5$aaaaaaaaaaaaaaaa$';

export class PasswordFile {
  readonly path: string;
  #stamp = '';
  #users: Users | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** The users of now. Rejects with the error of the file system if the file cannot be read. */
  async users(): Promise<Users> {
    // Not in a thread: that would cost each login more than the look itself.
    const now = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    if (now && this.#users && stampOf(now) === this.#stamp) return this.#users;
    const file = await open(this.path, 'r');
    try {
      // Read from the descriptor that was looked at: a rename in between cannot mix two files.
      const stats = await file.stat({ bigint: true });
      if (stats.size > MAX_FILE_BYTES) throw new Error(`${this.path} is larger than ${MAX_FILE_BYTES} bytes`);
      const users = await readUsers(file);
      this.#users = users;
      this.#stamp = stampOf(stats);
      return users;
    } finally {
      await file.close();
    }
  }
}

const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(' ');

async function readUsers(file: FileHandle): Promise<Users> {
  const users = new Map<string, OcpasswdEntry>();
  let typicalHash: string | undefined;
  for (const line of (await file.readFile('utf8')).split('\n')) {
    const entry = parseOcpasswdLine(line);
    // The first line of a name counts, as in ocserv.
    if (!entry || users.has(entry.userName)) continue;
    users.set(entry.userName, entry);
    if (entry.hash.startsWith('$')) typicalHash ??= entry.hash;
  }
  return {
    find: (userName) => users.get(userName),
    typicalHash: typicalHash ?? FALLBACK_HASH,
    groups: () => [...new Set([...users.values()].flatMap(({ groups }) => groups))].sort(),
  };
}
