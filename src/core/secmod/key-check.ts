/** The check of a configuration that reads its keys: what secmod would refuse at its start. For root's commands alone. */
import { existsSync } from 'node:fs';
import type { VhostCheck } from '../config/cross-checks.js';
import { VpnError } from '../errors.js';
import { loadKeys } from './keys.js';

/** Files that are not there are told by the check of files, or are made at the first start. */
export const keyCheck: VhostCheck = (vhost) => {
  const [certs, keys] = [vhost['server-cert'], vhost['server-key']];
  if (certs.length !== keys.length || ![...certs, ...keys].every((path) => existsSync(path))) return [];
  try {
    loadKeys(vhost);
    return [];
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    return [{ option: 'server-key', problem: error.say.replace(/\.$/, '') }];
  }
};
