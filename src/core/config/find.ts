/**
 * Where a configuration is looked for when none is named: the working directory, then /etc/vpn. No directory above
 * is searched, and nothing that is found is ever run.
 */
import { lstatSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { VpnError } from '../errors.js';

const DATA_NAMES = ['vpn.config.yaml', 'vpn.config.yml', 'vpn.config.json'];
const SYSTEM_DIRECTORY = '/etc/vpn';
const WRITABLE_BY_OTHERS = 0o022;

/** Every place, in the order of the search. */
export function searchPlaces(workingDirectory: string, systemDirectory = SYSTEM_DIRECTORY): string[] {
  return [
    ...[...DATA_NAMES, '.vpnrc'].map((name) => join(workingDirectory, name)),
    ...[...DATA_NAMES, 'vpn.conf'].map((name) => join(systemDirectory, name)),
  ];
}

/**
 * The first of `places` that exists, or null. Throws OCS_FILE for one that somebody else could have put there: a
 * configuration names programs that the server runs as root, and the working directory may be anybody's.
 */
export function findConfig(places: readonly string[], uid = process.getuid?.() ?? 0): string | null {
  for (const path of places) {
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (!entry) continue;
    const reason = distrust(entry, uid);
    if (reason) throw new VpnError('OCS_FILE', { what: 'configuration file', path, reason });
    return path;
  }
  return null;
}

/** The file that the command line names, or the one that is found; undefined: the embedded default. */
export function configFile(named: string | undefined): string | undefined {
  return named ?? findConfig(searchPlaces(process.cwd())) ?? undefined;
}

function distrust(entry: Stats, uid: number): string | null {
  const how = 'it is only used when it is named with --config';
  if (entry.uid !== uid && entry.uid !== 0) return `it belongs to another user, so ${how}`;
  if (!entry.isSymbolicLink() && (entry.mode & WRITABLE_BY_OTHERS) !== 0)
    return `others may write to it, so ${how}`;
  return null;
}
