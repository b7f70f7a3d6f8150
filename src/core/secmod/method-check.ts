/** The check of a configuration that asks the plugins about the methods that it names: what secmod would refuse at its start. */
import type { Problem, VhostCheck } from '../config/cross-checks.js';
import { VpnError } from '../errors.js';
import type { AccountingPlugin, AuthBackendPlugin } from '../plugin-api/index.js';
import { bundledAccountingOf, bundledPluginOf } from '../plugins/bundled.js';
import { chooseBackend } from './backends.js';
import { loadAuthPlugins, pluginLists } from './plugins.js';

/** Loads the plugins of the data directory, as secmod does. Throws OCS_PLUGIN. */
export async function methodCheck(dataDir: string): Promise<VhostCheck> {
  const plugins = await loadAuthPlugins(...pluginLists(dataDir));
  return (vhost) => [
    ...vhost.auth.flatMap((text) => problemOf('auth', text, plugins.auth)),
    ...vhost['enable-auth'].flatMap((text) => problemOf('enable-auth', text, plugins.auth)),
    ...(vhost.acct === '' ? [] : problemOf('acct', vhost.acct, plugins.acct)),
  ];
}

function problemOf(
  option: 'auth' | 'enable-auth' | 'acct',
  text: string,
  plugins: ReadonlyMap<string, AuthBackendPlugin | AccountingPlugin>,
): Problem[] {
  try {
    const fail = (problem: string): never => {
      throw new VpnError('OCS_CONFIG', { detail: problem });
    };
    chooseBackend(text, plugins, fail, option === 'acct' ? bundledAccountingOf : bundledPluginOf);
    return [];
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    return [{ option, problem: `${text}: ${String(error.details.detail)}` }];
  }
}
