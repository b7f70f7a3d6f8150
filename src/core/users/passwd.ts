/** What `vpn passwd` does, on a file in ocpasswd's format. */
import { existsSync, readFileSync } from 'node:fs';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';
import { rewriteLocked } from './locked-rewrite.js';
import { deleteUser, listUsers, lockUser, setGroups, setUser, unlockUser } from './ocpasswd-edit.js';
import { makeSha256Crypt } from './sha256-crypt.js';

/** The protocol between the processes bounds names to 64 bytes (ipc/messages.ts). */
const MAX_NAME_BYTES = 64;
/** crypt(3) of libxcrypt takes at most 511 bytes (CRYPT_MAX_PASSPHRASE_SIZE in crypt.h, with the final NUL). */
const MAX_PASSWORD_BYTES = 511;

export interface PasswdUser {
  readonly userName: string;
  readonly groups: readonly string[];
  readonly locked: boolean;
}

/** Creates a user or gives one a new password, `groups` undefined: an existing user keeps theirs. */
export async function setPassword(
  path: string,
  userName: string,
  password: string,
  groups?: readonly string[],
): Promise<void> {
  checkName('User', userName);
  for (const group of groups ?? []) checkGroup(group);
  checkPassword(password);
  const hash = makeSha256Crypt(password);
  await rewriteLocked(path, (text) => setUser(text, userName, hash, groups));
}

export async function changeGroups(path: string, userName: string, groups: readonly string[]): Promise<void> {
  for (const group of groups) checkGroup(group);
  await changeKnown(path, userName, (text) => setGroups(text, userName, groups));
}

export function lock(path: string, userName: string): Promise<void> {
  return changeKnown(path, userName, (text) => lockUser(text, userName));
}

export function unlock(path: string, userName: string): Promise<void> {
  return changeKnown(path, userName, (text) => unlockUser(text, userName));
}

export function remove(path: string, userName: string): Promise<void> {
  return changeKnown(path, userName, (text) => deleteUser(text, userName));
}

/** Users in the order of the file. Throws OCS_FILE. */
export function list(path: string): PasswdUser[] {
  try {
    const entries = listUsers(readFileSync(path, 'latin1'));
    return entries.map(({ userName, groups, locked }) => ({ userName, groups, locked }));
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what: 'password file', path, reason }, { cause: error });
  }
}

/** Checks inside the lock that the user is there. */
async function changeKnown(path: string, userName: string, change: (text: string) => string): Promise<void> {
  const unknown = new VpnError('OCS_USER_UNKNOWN', { user: userName, path });
  if (!existsSync(path)) throw unknown;
  await rewriteLocked(path, (text) => {
    if (!listUsers(text).some((entry) => entry.userName === userName)) throw unknown;
    return change(text);
  });
}

function checkName(what: string, name: string): void {
  const refuse = (reason: string): never => {
    throw new VpnError('OCS_USER_NAME', { what, name: JSON.stringify(name), reason });
  };
  if (name === '') refuse('it is empty');
  if (/[:\p{Cc}]/u.test(name)) refuse('it contains a colon or a control character');
  if (name.startsWith('#')) refuse('a line that begins with # is a comment');
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) refuse(`it is longer than ${MAX_NAME_BYTES} bytes`);
}

function checkGroup(name: string): void {
  checkName('Group', name);
  const refuse = (reason: string): never => {
    throw new VpnError('OCS_USER_NAME', { what: 'Group', name: JSON.stringify(name), reason });
  };
  if (name.includes(',') || name !== name.trim()) refuse('it contains a comma or outer blanks');
  if (name.length === 1) refuse('a name of one character means "no group" in this file');
}

function checkPassword(password: string): void {
  if (password === '') throw new VpnError('OCS_PASSWORD', { reason: 'The password is empty' });
  if (password.includes('\0'))
    throw new VpnError('OCS_PASSWORD', { reason: 'The password contains a NUL character' });
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new VpnError('OCS_PASSWORD', { reason: `The password is longer than ${MAX_PASSWORD_BYTES} bytes` });
  }
}
