/** Plugins that stay where they are; the server has a link to each. */
import { existsSync, lstatSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { VpnError } from '../errors.js';
import {
  addName,
  installedList,
  linkedList,
  namesIn,
  placeOf,
  pluginName,
  refuse,
  removeName,
} from './lists.js';

/** Adds the package in `folder`; returns its name. It is loaded at the next start of secmod. Throws OCS_PLUGIN. */
export function linkPlugin(dataDir: string, folder: string): string {
  const name = pluginName(folder);
  if (namesIn(installedList(dataDir)).includes(name)) refuse(name, 'it is installed already');
  const list = linkedList(dataDir);
  const place = placeOf(list, name);
  mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
  if (isLink(place)) rmSync(place);
  if (existsSync(place)) refuse(name, `${place} is in the way`);
  symlinkSync(realpathSync(folder), place);
  addName(list, name);
  return name;
}

/** Takes a plugin off the list, and its link away. Throws OCS_PLUGIN_ABSENT. */
export function unlinkPlugin(dataDir: string, name: string): void {
  const list = linkedList(dataDir);
  if (!namesIn(list).includes(name)) throw new VpnError('OCS_PLUGIN_ABSENT', { how: 'linked', plugin: name });
  removeName(list, name);
  const place = placeOf(list, name);
  if (isLink(place)) rmSync(place);
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}
