/**
 * The grammar of ocpasswd's file, shared by `vpn passwd` and the back end that reads it: one user per line,
 * `user:group,group:crypt-hash`. Pure.
 */

export interface OcpasswdEntry {
  readonly userName: string;
  /** Empty for `*` and for names of one character, which ocserv takes as "no group". */
  readonly groups: readonly string[];
  /** crypt(3) hash without the lock mark. */
  readonly hash: string;
  /** The hash field begins with `!`. */
  readonly locked: boolean;
}

/** Parses one line without its line feed. null: not a user (a comment, an empty or a broken line). */
export function parseOcpasswdLine(line: string): OcpasswdEntry | null {
  const [userName, groups, hashField, surplus] = line.replace(/\r$/, '').split(':');
  if (!userName || userName.startsWith('#') || groups === undefined || hashField === undefined) return null;
  if (surplus !== undefined) return null;
  const locked = hashField.startsWith('!');
  return { userName, groups: groupNames(groups), hash: locked ? hashField.slice(1) : hashField, locked };
}

function groupNames(field: string): string[] {
  const names = field.split(',').map((name) => name.trim());
  return names.filter((name) => name.length > 1);
}
