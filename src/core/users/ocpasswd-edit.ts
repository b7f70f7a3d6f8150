/**
 * Changes to the text of an ocpasswd file. Pure: text in, text out. The text is the file's bytes as latin1, so
 * that lines which are not touched stay the same byte by byte, whatever their encoding.
 */
import { type OcpasswdEntry, parseOcpasswdLine } from '../plugin-api/ocpasswd-format.js';

/** A change of one line: null deletes it, undefined as the current line means that there is none. */
type Change = (current: string | undefined) => string | null;

const NO_GROUPS = '*';

/** Every user in the order of the file; names and groups decoded from UTF-8. */
export function listUsers(text: string): OcpasswdEntry[] {
  return text.split('\n').flatMap((line) => parseOcpasswdLine(utf8(line)) ?? []);
}

/**
 * Sets the hash of a user, in place or as the last line. Without `groups` an existing user keeps theirs; the
 * lock, which is part of the hash field, goes away as with ocpasswd.
 */
export function setUser(text: string, userName: string, hash: string, groups?: readonly string[]): string {
  return changeUser(text, userName, (line) => {
    const kept = line === undefined ? NO_GROUPS : fields(line).groups;
    return join(userName, groups === undefined ? kept : groupField(groups), hash);
  });
}

/** Replaces the groups of an existing user. */
export function setGroups(text: string, userName: string, groups: readonly string[]): string {
  return changeUser(text, userName, (line = '') => join(userName, groupField(groups), fields(line).hash));
}

/** Puts `!` before the hash, once. */
export function lockUser(text: string, userName: string): string {
  return changeUser(text, userName, (line = '') => {
    const { groups, hash } = fields(line);
    return hash.startsWith('!') ? line : join(userName, groups, `!${hash}`);
  });
}

/** Takes every leading `!` away. */
export function unlockUser(text: string, userName: string): string {
  return changeUser(text, userName, (line = '') => {
    const { groups, hash } = fields(line);
    return hash.startsWith('!') ? join(userName, groups, hash.replace(/^!+/, '')) : line;
  });
}

export function deleteUser(text: string, userName: string): string {
  return changeUser(text, userName, () => null);
}

/** Applies `change` to the first line of the user, the one that counts at a login; without one, appends. */
function changeUser(text: string, userName: string, change: Change): string {
  const lines = text.split('\n');
  const index = lines.findIndex((line) => parseOcpasswdLine(utf8(line))?.userName === userName);
  const changed = change(lines[index]);
  if (index >= 0) {
    lines.splice(index, 1, ...(changed === null ? [] : [changed]));
    return lines.join('\n');
  }
  if (changed === null) return text;
  const separator = text === '' || text.endsWith('\n') ? '' : '\n';
  return `${text}${separator}${changed}\n`;
}

/** The two later fields as they are written. */
function fields(line: string): { groups: string; hash: string } {
  const [, groups = NO_GROUPS, hash = ''] = line.split(':');
  return { groups, hash };
}

function join(userName: string, groups: string, hash: string): string {
  return `${latin1(userName)}:${groups}:${hash}`;
}

function groupField(groups: readonly string[]): string {
  return groups.length === 0 ? NO_GROUPS : latin1(groups.join(','));
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}
