/** Plugins that npm brings: from a tarball or a folder, without any network, or from a registry. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { VpnError } from '../errors.js';
import {
  addName,
  ensureList,
  installedList,
  linkedList,
  namesIn,
  placeOf,
  pluginName,
  removeName,
} from './lists.js';

const QUIET = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];

export interface InstallRequest {
  /** As npm takes it: `file:TARBALL`, a path, `name@version`. */
  readonly spec: string;
  /** Lets the package and what it depends on run their installation scripts, e.g. to build an addon. */
  readonly allowScripts: boolean;
}

/** Installs or updates a plugin; returns its name. It is loaded at the next start of secmod. Throws OCS_PLUGIN_INSTALL. */
export function installPlugin(dataDir: string, { spec: given, allowScripts }: InstallRequest): string {
  const spec = absolute(given);
  const list = installedList(dataDir);
  const name = nameOf(spec);
  if (namesIn(linkedList(dataDir)).includes(name)) fail(given, 'a plugin of this name is linked');
  ensureList(list);
  // A folder is copied, so that nobody can change what root runs.
  const flags = ['--omit=dev', '--install-links', ...(allowScripts ? [] : ['--ignore-scripts'])];
  npm(given, ['install', '--prefix', dirname(list), ...flags, '--', spec]);
  try {
    pluginName(placeOf(list, name));
  } catch (error) {
    npm(given, ['uninstall', '--prefix', dirname(list), '--', name]);
    throw error;
  }
  addName(list, name);
  return name;
}

/** Removes an installed plugin with what only it needed. Throws OCS_PLUGIN_ABSENT, OCS_PLUGIN_INSTALL. */
export function uninstallPlugin(dataDir: string, name: string): void {
  const list = installedList(dataDir);
  if (!namesIn(list).includes(name))
    throw new VpnError('OCS_PLUGIN_ABSENT', { how: 'installed', plugin: name });
  npm(name, ['uninstall', '--prefix', dirname(list), '--ignore-scripts', '--', name]);
  removeName(list, name);
}

/** Paths are meant from here; npm would take them from the folder of the plugins. */
function absolute(spec: string): string {
  const path = resolve(spec.replace(/^file:/, ''));
  return existsSync(path) ? `file:${path}` : spec;
}

/** The name of the package, which its file need not have. */
function nameOf(spec: string): string {
  const told = JSON.parse(npm(spec, ['pack', '--dry-run', '--json', '--ignore-scripts', '--', spec]));
  const [found] = told as { name?: string }[];
  return found?.name ?? fail(spec, 'npm does not tell its name');
}

/** Its standard output. What it writes must not be writable for others, whatever the administrator's umask. */
function npm(plugin: string, args: readonly string[]): string {
  const umask = process.umask(0o022);
  try {
    const { error, status, stdout, stderr } = spawnSync(
      'npm',
      [...args.slice(0, 1), ...QUIET, ...args.slice(1)],
      {
        encoding: 'utf8',
      },
    );
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      return fail(plugin, 'npm is not here, install the Debian package npm');
    if (error) return fail(plugin, error.message);
    return status === 0 ? stdout : fail(plugin, complaint(stderr));
  } finally {
    process.umask(umask);
  }
}

/** The first line that says something; npm's codes come before it. */
function complaint(stderr: string): string {
  const lines = stderr
    .split('\n')
    .flatMap((line) => /^npm error (?!code |errno |syscall |path )(.+)/.exec(line)?.[1] ?? []);
  return lines[0]?.replace(/\.$/, '') ?? 'npm failed';
}

function fail(plugin: string, reason: string): never {
  throw new VpnError('OCS_PLUGIN_INSTALL', { plugin, reason });
}
