/**
 * The administrator's plugins: `<data-dir>/plugins` is laid out as npm does it, a package.json whose `oclif.plugins`
 * lists the names, and node_modules with the packages or links to them. Only root may write there: see plugin-trust.ts.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { VpnError } from '../errors.js';

const HOOK = 'vpn:auth-backends';
/** As npm allows them; no part may lead out of node_modules. */
const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

interface List {
  oclif?: { plugins?: string[] };
}

export interface LinkedPlugin {
  readonly name: string;
  /** Where the package is; null if it is gone. */
  readonly path: string | null;
}

/** The file that lists them, with its absolute path. */
export function administratorsList(dataDir: string): string {
  return resolve(dataDir, 'plugins', 'package.json');
}

/** All of them, in the order of the list. */
export function linkedPlugins(dataDir: string): LinkedPlugin[] {
  return namesOf(readList(dataDir)).map((name) => {
    const path = placeOf(dataDir, name);
    return { name, path: existsSync(path) ? realpathSync(path) : null };
  });
}

/** Adds the package in `folder`; returns its name. It is loaded at the next start of secmod. Throws OCS_PLUGIN. */
export function linkPlugin(dataDir: string, folder: string): string {
  const name = pluginName(folder);
  const target = realpathSync(folder);
  const place = placeOf(dataDir, name);
  mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
  if (isLink(place)) rmSync(place);
  // npm may have installed it here already.
  if (!existsSync(place)) symlinkSync(target, place);
  else if (realpathSync(place) !== target) refuse(name, `${place} is in the way`);
  changeNames(dataDir, (names) => [...names.filter((other) => other !== name), name]);
  return name;
}

/** Takes a plugin off the list, and its link away; a package that npm installed stays. Throws OCS_PLUGIN. */
export function unlinkPlugin(dataDir: string, name: string): void {
  if (!namesOf(readList(dataDir)).includes(name)) refuse(name, 'it is not linked');
  changeNames(dataDir, (names) => names.filter((other) => other !== name));
  const place = placeOf(dataDir, name);
  if (isLink(place)) rmSync(place);
}

/** The name in the package.json of `folder`, if that is a plugin of ours. */
function pluginName(folder: string): string {
  const { name, oclif } = readPlugin(folder);
  if (typeof name !== 'string' || !PACKAGE_NAME.test(name))
    return refuse(folder, 'its package.json has no name');
  if (!oclif?.hooks?.[HOOK]) return refuse(name, `its package.json has no hook ${HOOK}`);
  return name;
}

function readPlugin(folder: string): { name?: unknown; oclif?: { hooks?: Record<string, unknown> } } {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch (error) {
    return refuse(folder, error instanceof Error ? error.message : String(error));
  }
}

function changeNames(dataDir: string, change: (names: readonly string[]) => string[]): void {
  const list = readList(dataDir);
  const changed = { private: true, ...list, oclif: { ...list.oclif, plugins: change(namesOf(list)) } };
  const file = administratorsList(dataDir);
  writeFileSync(`${file}.new`, `${JSON.stringify(changed, null, 2)}\n`, { mode: 0o644 });
  renameSync(`${file}.new`, file);
}

function readList(dataDir: string): List {
  const file = administratorsList(dataDir);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as List) : {};
}

function namesOf(list: List): readonly string[] {
  return list.oclif?.plugins ?? [];
}

function placeOf(dataDir: string, name: string): string {
  return join(dataDir, 'plugins', 'node_modules', name);
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function refuse(plugin: string, reason: string): never {
  throw new VpnError('OCS_PLUGIN', { plugin, reason });
}
