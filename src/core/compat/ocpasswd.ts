/** `ocpasswd` with the flags of ocserv's. */
import { VpnError } from '../errors.js';
import { lock, remove, setPassword, unlock } from '../users/passwd.js';
import { readNewPassword } from '../users/read-password.js';
import { readOptions, versionText } from './options.js';

const USAGE = `usage: ocpasswd [-c FILE] [-g GROUP,GROUP] [-d | -l | -u] USER
  -c, --passwd FILE       password file, default /etc/ocserv/ocpasswd
  -g, --groupname GROUPS  groups of the user, * for none
  -d, --delete            delete the user
  -l, --lock              lock the user
  -u, --unlock            unlock the user
  -v, --version
  -h, --help
`;

const { values, positionals } = readOptions(
  {
    passwd: { type: 'string', short: 'c', default: '/etc/ocserv/ocpasswd' },
    groupname: { type: 'string', short: 'g' },
    delete: { type: 'boolean', short: 'd' },
    lock: { type: 'boolean', short: 'l' },
    unlock: { type: 'boolean', short: 'u' },
    version: { type: 'boolean', short: 'v' },
    help: { type: 'boolean', short: 'h' },
  } as const,
  USAGE,
);

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.version || values.help) {
    process.stdout.write(values.version ? versionText('ocpasswd') : USAGE);
    return 0;
  }
  const [user, ...surplus] = positionals;
  const actions = [values.delete, values.lock, values.unlock].filter(Boolean).length;
  if (user === undefined || surplus.length > 0 || actions > 1) {
    process.stderr.write(USAGE);
    return 1;
  }
  try {
    await change(user);
    return 0;
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    process.stderr.write(`ocpasswd: ${error.message}\n`);
    return 1;
  }
}

async function change(user: string): Promise<void> {
  const { passwd } = values;
  if (values.delete) await remove(passwd, user);
  else if (values.lock) await lock(passwd, user);
  else if (values.unlock) await unlock(passwd, user);
  else await setPassword(passwd, user, await readNewPassword(user, false), groups());
}

/** Without -g the user has no group, also one that had. */
function groups(): string[] {
  const text = values.groupname ?? '*';
  return text === '*' || text === '' ? [] : text.split(',').map((name) => name.trim());
}
