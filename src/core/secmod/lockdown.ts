/**
 * What secmod gives up once keys and back ends are loaded: system calls that nothing in it makes (native/src/io/call_rules.cc),
 * programs and network unless a back end needs them, and capabilities that are not about files. Those stay also as
 * another user (secmod-user): it reads keys and password files again at every reload, whoever owns them.
 */
import { parseAuthMethod } from '../config/auth-method.js';
import type { ServerConfig, VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type { NativeIo } from '../native/types.js';
import type { BackendNeed } from '../plugin-api/index.js';
import { resolveSecmodUser, SECMOD_USER } from '../util/identity.js';
import type { AuthPlugins } from './plugins.js';

/** <linux/capability.h>: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER: files of other users, also as they are rewritten. */
const FILE_CAPABILITIES = [0, 1, 2, 3];

export type Needs = ReadonlySet<BackendNeed>;

/** What these virtual hosts need: their back ends (one that does not say needs everything), and kkdcp the network. */
export function needsOf(vhosts: Iterable<VhostConfig>, { auth, acct }: AuthPlugins): Needs {
  const needs = new Set<BackendNeed>();
  const add = (methods: readonly string[], plugins: AuthPlugins['auth'] | AuthPlugins['acct']) => {
    for (const text of methods) {
      const method = parseAuthMethod(text);
      const plugin = typeof method === 'string' ? undefined : plugins.get(method.name);
      for (const need of plugin ? (plugin.manifest.needs ?? EVERYTHING) : []) needs.add(need);
    }
  };
  for (const vhost of vhosts) {
    add([...vhost.auth, ...vhost['enable-auth']], auth);
    if (vhost.acct !== '') add([vhost.acct], acct);
    if (vhost.kkdcp.length > 0) needs.add('network');
  }
  return needs;
}
const EVERYTHING: readonly BackendNeed[] = ['programs', 'network', 'root'];

export const allVhosts = ({ default: first, vhosts }: ServerConfig): VhostConfig[] => [
  first,
  ...vhosts.values(),
];

/** Throws OCS_LOCKDOWN if something cannot be given up. `user` is secmod-user as it is configured. */
export function lockDownSecmod(io: NativeIo, needs: Needs, user: string, log: Logger): void {
  const programs = needs.has('programs');
  if (programs && process.getuid?.() !== 0) {
    // Without root the filter would keep helpers of PAM from becoming root.
    log.info('system calls are not limited: a back end starts programs');
    return;
  }
  try {
    const stays = becomeUser(io, needs, user);
    if (stays !== null) log.info({ reason: stays }, 'secmod does not change its user');
    io.filterSecmodCalls({ exec: programs, network: needs.has('network') });
    // Programs of another user than root get none of them.
    if (!programs || stays === null) io.keepCapabilities(FILE_CAPABILITIES);
  } catch (error) {
    const reason = (error as Error).message;
    throw new VpnError('OCS_LOCKDOWN', { stage: 'secmod', reason }, { cause: error });
  }
  log.debug({ needs: [...needs] }, 'locked down');
}

/** null: it did; otherwise why not. Throws if secmod-user names a user that it cannot become. */
function becomeUser(io: NativeIo, needs: Needs, name: string): string | null {
  const identity = resolveSecmodUser(name);
  if (identity === null) return name === '' ? `there is no user ${SECMOD_USER}` : `secmod-user is ${name}`;
  if (process.getuid?.() !== 0) return 'it was not started as root';
  if (needs.has('root')) {
    if (name === '') return 'a back end needs root';
    throw new Error(`secmod-user is ${name}, but a back end needs root`);
  }
  try {
    io.dropPrivileges({ ...identity, lockdown: false, nonDumpable: true, keepsCapabilities: true });
    return null;
  } catch (error) {
    if (name !== '' || (error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    return 'it was started without the capabilities to change it';
  }
}

/** At a reload: a virtual host that is new may need what was given up. Throws OCS_CONFIG. */
export function refuseNewNeeds(fresh: readonly VhostConfig[], plugins: AuthPlugins, had: Needs): void {
  for (const vhost of fresh) {
    const missing = [...needsOf([vhost], plugins)].filter((need) => !had.has(need));
    if (missing.length > 0) {
      const detail = `[vhost ${vhost.name}] it needs ${missing.join(' and ')}, which secmod gave up at its start; restart the server`;
      throw new VpnError('OCS_CONFIG', { detail });
    }
  }
}
