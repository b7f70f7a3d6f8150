/**
 * Loads the authentication plugins: those that `oclif.plugins` of our package.json lists, by the same metadata
 * (`oclif.hooks`) that oclif reads. oclif itself is left out: it would double the start-up time, and it would
 * also load what a user has installed below $HOME, which a process that holds keys must not run.
 */
import { readFileSync } from 'node:fs';
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

const HOOK = 'vpn:auth-backends';
const API_VERSION: ApiVersion = 1;

interface PackageJson {
  readonly oclif?: {
    readonly plugins?: readonly string[];
    readonly hooks?: Readonly<Record<string, string | readonly string[]>>;
  };
}

/** Back ends by name, for `auth` and for `acct`. */
export interface AuthPlugins {
  readonly auth: ReadonlyMap<string, AuthBackendPlugin>;
  readonly acct: ReadonlyMap<string, AccountingPlugin>;
}

/** `packageFile`: the package.json that lists the plugins. Throws OCS_PLUGIN. */
export async function loadAuthPlugins(packageFile = ownPackageFile()): Promise<AuthPlugins> {
  const auth = new Map<string, AuthBackendPlugin>();
  const acct = new Map<string, AccountingPlugin>();
  const hookOptions: AuthBackendsHookOptions = {
    apiVersion: API_VERSION,
    register: (backend) => addOnce(auth, backend),
    registerAccounting: (backend) => addOnce(acct, backend),
  };
  for (const plugin of readPackage(packageFile).oclif?.plugins ?? []) {
    try {
      await runHooks(plugin, createRequire(packageFile), hookOptions);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new VpnError('OCS_PLUGIN', { plugin, reason }, { cause: error });
    }
  }
  return { auth, acct };
}

function addOnce<P extends { readonly manifest: { readonly name: string } }>(
  backends: Map<string, P>,
  backend: P,
): void {
  const { name } = backend.manifest;
  if (backends.has(name)) throw new Error(`the back end ${name} is already there`);
  backends.set(name, backend);
}

async function runHooks(
  plugin: string,
  require: NodeJS.Require,
  hookOptions: AuthBackendsHookOptions,
): Promise<void> {
  const file = require.resolve(`${plugin}/package.json`);
  for (const target of [readPackage(file).oclif?.hooks?.[HOOK] ?? []].flat()) {
    const module = (await import(pathToFileURL(join(dirname(file), target)).href)) as { default?: unknown };
    if (typeof module.default !== 'function') throw new Error(`${target} has no function as default export`);
    await (module.default as AuthBackendsHook)(hookOptions);
  }
}

function readPackage(file: string): PackageJson {
  return JSON.parse(readFileSync(file, 'utf8')) as PackageJson;
}

/** Three levels up from here, in the sources and in the build. */
function ownPackageFile(): string {
  return fileURLToPath(new URL('../../../package.json', import.meta.url));
}
