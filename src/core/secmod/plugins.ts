/**
 * Loads the authentication plugins: those that `oclif.plugins` of our package.json lists, and those that the
 * administrator installed or linked below the data directory, by the same metadata (`oclif.hooks`) that oclif reads. oclif itself
 * is left out: it would double the start-up time, and it would also load what a user has installed below $HOME, which
 * a process that holds keys must not run.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { VpnError } from '../errors.js';
import type {
  AccountingPlugin,
  ApiVersion,
  AuthBackendPlugin,
  AuthBackendsHook,
  AuthBackendsHookOptions,
} from '../plugin-api/index.js';
import { installedOf } from '../plugins/bundled.js';
import { installedList, linkedList } from '../plugins/lists.js';
import { assertTrusted } from './plugin-trust.js';

const HOOK = 'vpn:auth-backends';
/** Commands of oclif itself (autocomplete): no back ends, and no code for a process that holds keys. */
const OCLIF_OWN = '@oclif/';
const API_VERSION: ApiVersion = 1;
/** Three levels up from here, in the sources and in the build. */
const OWN_PACKAGE = fileURLToPath(new URL('../../../package.json', import.meta.url));

interface PackageJson {
  readonly oclif?: {
    readonly plugins?: readonly string[];
    readonly hooks?: Readonly<Record<string, string | readonly string[]>>;
  };
}

/** The files that list plugins: ours, then the administrator's if there are any. */
export function pluginLists(dataDir: string): string[] {
  return [OWN_PACKAGE, installedList(dataDir), linkedList(dataDir)].filter((file) => existsSync(file));
}

/** Back ends by name, for `auth` and for `acct`. */
export interface AuthPlugins {
  readonly auth: ReadonlyMap<string, AuthBackendPlugin>;
  readonly acct: ReadonlyMap<string, AccountingPlugin>;
}

/** The back ends of all plugins in `lists` (files like package.json). Throws OCS_PLUGIN. */
export async function loadAuthPlugins(...lists: readonly string[]): Promise<AuthPlugins> {
  const auth = new Map<string, AuthBackendPlugin>();
  const acct = new Map<string, AccountingPlugin>();
  const hookOptions: AuthBackendsHookOptions = {
    apiVersion: API_VERSION,
    register: (backend) => addOnce(auth, backend),
    registerAccounting: (backend) => addOnce(acct, backend),
  };
  for (const list of lists) {
    for (const plugin of pluginsIn(list)) {
      if (plugin.startsWith(OCLIF_OWN)) continue;
      try {
        await runHooks(plugin, list, hookOptions);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new VpnError('OCS_PLUGIN', { plugin, reason }, { cause: error });
      }
    }
  }
  return { auth, acct };
}

/** An administrator's plugin that is gone is an error; one of ours that was left out is none until it is asked for. */
function pluginsIn(list: string): readonly string[] {
  const names = readPackage(list).oclif?.plugins ?? [];
  return list === OWN_PACKAGE ? installedOf(list, names) : names;
}

function addOnce<P extends { readonly manifest: { readonly name: string } }>(
  backends: Map<string, P>,
  backend: P,
): void {
  const { name } = backend.manifest;
  if (backends.has(name)) throw new Error(`the back end ${name} is already there`);
  backends.set(name, backend);
}

async function runHooks(plugin: string, list: string, hookOptions: AuthBackendsHookOptions): Promise<void> {
  const file = createRequire(list).resolve(`${plugin}/package.json`);
  for (const target of [readPackage(file).oclif?.hooks?.[HOOK] ?? []].flat()) {
    // Ours belongs to whoever installed the server, as the server itself.
    if (list !== OWN_PACKAGE) assertAllTrusted(list, plugin, join(dirname(file), target));
    const module = (await import(pathToFileURL(join(dirname(file), target)).href)) as { default?: unknown };
    if (typeof module.default !== 'function') throw new Error(`${target} has no function as default export`);
    await (module.default as AuthBackendsHook)(hookOptions);
  }
}

/** The list, the place in which the plugin was linked, and the code that is run. */
function assertAllTrusted(list: string, plugin: string, target: string): void {
  const place = join(dirname(list), 'node_modules', plugin);
  for (const path of [list, place, target]) assertTrusted(path);
}

function readPackage(file: string): PackageJson {
  return JSON.parse(readFileSync(file, 'utf8')) as PackageJson;
}
