/** The addon in ../native: what of the system's C library Node has no binding for. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface PlainAddon {
  crypt(password: Uint8Array, setting: string): Promise<string | null>;
  /** Locks the whole file against others, also those of other programs; false if one holds it. Throws on an error. */
  tryLock(fd: number): boolean;
}

let addon: PlainAddon | undefined;

/** Loads it once. Throws if it is missing. */
export function loadAddon(): PlainAddon {
  if (addon) return addon;
  const path = join(packageRoot(), 'native', 'build', 'Release', 'ocvpn_crypt.node');
  if (!existsSync(path)) throw new Error(`${path} is not built (node-gyp rebuild -C native)`);
  addon = createRequire(import.meta.url)(path) as PlainAddon;
  return addon;
}

/** The directory with package.json: at different heights above the sources and the build. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && directory !== '/') directory = dirname(directory);
  return directory;
}
