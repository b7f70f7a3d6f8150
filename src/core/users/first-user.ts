/** The one user of the embedded default. */
import { randomInt } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { embeddedPaths } from '../config/embedded.js';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';
import { needDirectory } from '../util/make-directory.js';
import { rewriteLocked } from './locked-rewrite.js';
import { listUsers, setUser } from './ocpasswd-edit.js';
import { makeSha256Crypt, sha256CryptMatches } from './sha256-crypt.js';

export interface FirstUser {
  readonly userName: string;
  /** null: somebody has changed or removed it since. */
  readonly password: string | null;
  /** Made by this call. */
  readonly created: boolean;
}

const USER_NAME = 'user';
/** Without letters and digits that look alike; 16 of them are 78 bits. */
const CHARACTERS = 'abcdefghijkmnpqrstuvwxyz23456789';
const WAIT_FOR_OTHER_PROCESS_MS = 5000;

/**
 * Makes `<dataDir>/ocpasswd` with one generated user if there is no such file, and keeps the password in
 * `<dataDir>/first-user.json` (0600), so that each start can print it. Several processes may call it at once:
 * one creates, all get the same. Throws OCS_FILE, OCS_PASSWD_LOCKED, OCS_DATA_DIR.
 */
export async function ensureFirstUser(dataDir: string): Promise<FirstUser> {
  const { ocpasswd, firstUser } = embeddedPaths(dataDir);
  needDirectory('OCS_DATA_DIR', dataDir, 0o700);
  const fresh = { userName: USER_NAME, password: readablePassword() };
  let created = false;
  if (!existsSync(ocpasswd)) {
    const wait = { waitMs: WAIT_FOR_OTHER_PROCESS_MS };
    // Whoever writes the note first decides the password: the hash follows from the note.
    await rewriteLocked(firstUser, (text) => text || `${JSON.stringify(fresh)}\n`, wait);
    const { userName, password } = readNote(firstUser);
    created = password === fresh.password;
    await rewriteLocked(ocpasswd, (text) => text || setUser('', userName, makeSha256Crypt(password)), wait);
  }
  return { ...current(ocpasswd, firstUser), created };
}

function current(ocpasswd: string, firstUser: string): Omit<FirstUser, 'created'> {
  const note = existsSync(firstUser) ? readNote(firstUser) : null;
  const userName = note?.userName ?? USER_NAME;
  const entry = listUsers(readFileSync(ocpasswd, 'latin1')).find((user) => user.userName === userName);
  const valid = note && entry && !entry.locked && sha256CryptMatches(note.password, entry.hash);
  return { userName, password: valid ? note.password : null };
}

function readNote(path: string): { userName: string; password: string } {
  const text = readFileSync(path, 'utf8');
  try {
    const { userName, password } = JSON.parse(text) as Record<string, unknown>;
    if (typeof userName === 'string' && typeof password === 'string') return { userName, password };
    throw new TypeError('userName and password are not both texts');
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what: 'file of the first user', path, reason }, { cause: error });
  }
}

/** Four groups of four, e.g. `k3mz-9xq2-…`. */
function readablePassword(): string {
  const character = (): string => CHARACTERS.charAt(randomInt(CHARACTERS.length));
  const group = (): string => Array.from({ length: 4 }, character).join('');
  return Array.from({ length: 4 }, group).join('-');
}
