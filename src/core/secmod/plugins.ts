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
import type { ApiVersion, AuthBackendPlugin, AuthBackendsHook } from '../plugin-api/index.js';

const HOOK = 'vpn:auth-backends';
const API_VERSION: ApiVersion = 1;

interface PackageJson {
  readonly oclif?: {
    readonly plugins?: readonly string[];
    readonly hooks?: Readonly<Record<string, string | readonly string[]>>;
  };
}

/** Back ends by name. `packageFile`: the package.json that lists the plugins. Throws OCS_PLUGIN. */
export async function loadAuthPlugins(
  packageFile = ownPackageFile(),
): Promise<Map<string, AuthBackendPlugin>> {
  const backends = new Map<string, AuthBackendPlugin>();
  for (const plugin of readPackage(packageFile).oclif?.plugins ?? []) {
    try {
      await runHooks(plugin, createRequire(packageFile), (backend) => {
        const { name } = backend.manifest;
        if (backends.has(name)) throw new Error(`the back end ${name} is already there`);
        backends.set(name, backend);
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new VpnError('OCS_PLUGIN', { plugin, reason }, { cause: error });
    }
  }
  return backends;
}

async function runHooks(
  plugin: string,
  require: NodeJS.Require,
  register: (backend: AuthBackendPlugin) => void,
): Promise<void> {
  const file = require.resolve(`${plugin}/package.json`);
  for (const target of [readPackage(file).oclif?.hooks?.[HOOK] ?? []].flat()) {
    const module = (await import(pathToFileURL(join(dirname(file), target)).href)) as { default?: unknown };
    if (typeof module.default !== 'function') throw new Error(`${target} has no function as default export`);
    await (module.default as AuthBackendsHook)({ apiVersion: API_VERSION, register });
  }
}

function readPackage(file: string): PackageJson {
  return JSON.parse(readFileSync(file, 'utf8')) as PackageJson;
}

/** Three levels up from here, in the sources and in the build. */
function ownPackageFile(): string {
  return fileURLToPath(new URL('../../../package.json', import.meta.url));
}
