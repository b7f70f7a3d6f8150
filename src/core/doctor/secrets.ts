/** Files that hold secrets: who else can read or change them. */
import { type Stats, statSync } from 'node:fs';
import { parseAuthMethod } from '../config/auth-method.js';
import type { VhostConfig } from '../config/schema.js';
import { type Check, type Finding, ok, warning } from './finding.js';

const BY_OTHERS = 0o007;
const CHANGED_BY_GROUP = 0o020;
/** Sub-options of authentication methods that name a file of secrets; '' is the older form of plain. */
const METHOD_SECRETS: Readonly<Record<string, readonly string[]>> = {
  plain: ['', 'passwd', 'otp'],
  gssapi: ['keytab'],
};

/** What is not there is the affair of other checks. */
export const secrets: Check = ({ config }) => {
  const vhosts = [config.default, ...config.vhosts.values()];
  const paths = [...new Set(vhosts.flatMap(secretFiles))];
  const there = paths.flatMap((path) => {
    const entry = entryOf(path);
    return entry?.isFile() ? [{ path, entry }] : [];
  });
  const found = there.flatMap(({ path, entry }) => exposed(path, entry));
  if (found.length > 0 || there.length === 0) return found;
  return [ok('secrets', 'Keys and password files are closed to other users.')];
};

function secretFiles(vhost: VhostConfig): string[] {
  const methods = [...vhost.auth, ...vhost['enable-auth']].flatMap((text) => {
    const method = parseAuthMethod(text);
    if (typeof method === 'string') return [];
    const names = METHOD_SECRETS[method.name] ?? [];
    return [...method.options].filter(([name]) => names.includes(name)).map(([, path]) => path);
  });
  return [...vhost['server-key'], ...methods].filter((path) => path !== '');
}

/** null: it is not there, or somebody who is not root may not know. */
function entryOf(path: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return null;
    throw error;
  }
}

function exposed(path: string, { mode }: Stats): Finding[] {
  if ((mode & (BY_OTHERS | CHANGED_BY_GROUP)) === 0) return [];
  const how = (mode & 0o022) === 0 ? 'read' : 'changed';
  const mend = `Close it: "chmod g-w,o-rwx ${path}". What was in it may be known: replace keys and passwords if others use this machine.`;
  return [warning('secrets', `${path} can be ${how} by other users of this machine.`, mend)];
}
