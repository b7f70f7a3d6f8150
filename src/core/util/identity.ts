/** Users and groups of this machine by name or number, and those that roles run as. */
import { readFileSync } from 'node:fs';
import { VpnError } from '../errors.js';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** Made by deploy/systemd/sysusers.d: run-as-user where it is not given. Its processes are nobody else's. */
const OWN_USER = 'ocvpn';
/** Where there is no such user. Other services may use it too. */
export const SHARED_USER = 'nobody';
const SHARED_GROUP = 'nogroup';

/**
 * run-as-user and run-as-group, names or numbers. Empty: the user `ocvpn` if there is one, else `nobody`; the user's
 * own group. Throws OCS_RUN_AS.
 */
export function resolveIdentity(user: string, group: string): Identity {
  const name = user || (fieldsOf(OWN_USER, '/etc/passwd') ? OWN_USER : SHARED_USER);
  const uid = idOf('user', name, '/etc/passwd');
  if (group !== '') return { uid, gid: idOf('group', group, '/etc/group') };
  const own = fieldsOf(name, '/etc/passwd')?.[3];
  return { uid, gid: own === undefined ? idOf('group', SHARED_GROUP, '/etc/group') : Number(own) };
}

/** Made by deploy/systemd/sysusers.d: secmod-user where it is not given. */
export const SECMOD_USER = 'ocvpn-secmod';

/** secmod-user; null: it stays who it is. Throws OCS_RUN_AS. */
export function resolveSecmodUser(name: string): Identity | null {
  if (name === '' && fieldsOf(SECMOD_USER, '/etc/passwd') === undefined) return null;
  const identity = resolveIdentity(name || SECMOD_USER, '');
  return identity.uid === 0 ? null : identity;
}

/** The name's id in a file of the passwd(5) or group(5) form: the third field. */
export function idOf(kind: 'user' | 'group', name: string, path: string): number {
  if (/^\d{1,10}$/.test(name)) return Number(name);
  const id = fieldsOf(name, path)?.[2] ?? '';
  if (!/^\d+$/.test(id)) throw new VpnError('OCS_RUN_AS', { kind, name });
  return Number(id);
}

/** Its line, undefined if there is none. */
function fieldsOf(name: string, path: string): string[] | undefined {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.map((line) => line.split(':')).find(([first]) => first === name);
}
