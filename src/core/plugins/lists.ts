/**
 * The administrator's plugins: `<data-dir>/plugins` holds those that npm installed and `<data-dir>/plugins/linked` those
 * that were linked; npm takes away what it has not put there itself. Both are laid out as npm does it, a package.json
 * whose `oclif.plugins` lists the names, and node_modules. Only root may write there: see plugin-trust.ts.
 */
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';

const HOOK = 'vpn:auth-backends';
/** As npm allows them; no part may lead out of node_modules. */
const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

interface List {
  oclif?: { plugins?: string[] };
}

export interface AddedPlugin {
  readonly name: string;
  /** Where the package is; null if it is gone. */
  readonly path: string | null;
}

/** The files that list them, with absolute paths. */
export const installedList = (dataDir: string): string => resolve(dataDir, 'plugins', 'package.json');
export const linkedList = (dataDir: string): string => resolve(dataDir, 'plugins', 'linked', 'package.json');

/** All of them, in the order of the lists. */
export function addedPlugins(dataDir: string): AddedPlugin[] {
  return [installedList(dataDir), linkedList(dataDir)].flatMap((list) =>
    namesIn(list).map((name) => {
      const path = placeOf(list, name);
      return { name, path: existsSync(path) ? realpathSync(path) : null };
    }),
  );
}

export function namesIn(list: string): readonly string[] {
  return readList(list).oclif?.plugins ?? [];
}

/** Adds a name at the end, or moves it there. Makes the list if there is none. */
export function addName(list: string, name: string): void {
  changeNames(list, (names) => [...names.filter((other) => other !== name), name]);
}

export function removeName(list: string, name: string): void {
  changeNames(list, (names) => names.filter((other) => other !== name));
}

/** Makes the list without names if there is none. */
export function ensureList(list: string): void {
  if (!existsSync(list)) changeNames(list, (names) => [...names]);
}

/** Where the package of this name is. */
export function placeOf(list: string, name: string): string {
  return join(dirname(list), 'node_modules', name);
}

/** The name in the package.json of `folder`, if that is a plugin of ours. Throws OCS_PLUGIN. */
export function pluginName(folder: string): string {
  const { name, oclif } = readPlugin(folder);
  if (typeof name !== 'string' || !PACKAGE_NAME.test(name))
    return refuse(folder, 'its package.json has no name');
  if (!oclif?.hooks?.[HOOK]) return refuse(name, `its package.json has no hook ${HOOK}`);
  return name;
}

export function refuse(plugin: string, reason: string): never {
  throw new VpnError('OCS_PLUGIN', { plugin, reason });
}

function readPlugin(folder: string): { name?: unknown; oclif?: { hooks?: Record<string, unknown> } } {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch (error) {
    return refuse(folder, `package.json: ${fileReason(error)}`);
  }
}

function changeNames(list: string, change: (names: readonly string[]) => string[]): void {
  mkdirSync(dirname(list), { recursive: true, mode: 0o755 });
  const before = readList(list);
  const changed = { private: true, ...before, oclif: { ...before.oclif, plugins: change(namesIn(list)) } };
  writeFileSync(`${list}.new`, `${JSON.stringify(changed, null, 2)}\n`, { mode: 0o644 });
  renameSync(`${list}.new`, list);
}

function readList(list: string): List {
  return existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as List) : {};
}
