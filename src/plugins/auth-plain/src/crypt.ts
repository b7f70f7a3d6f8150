/** The system's crypt(3), through the addon in ../native. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface CryptAddon {
  crypt(password: Uint8Array, setting: string): Promise<string | null>;
}

/**
 * Hashes that run at once. libuv's pool has four threads by default and secmod signs TLS handshakes there too:
 * a flood of logins must leave room for them.
 */
const MAX_RUNNING = 2;

let addon: CryptAddon | undefined;
let running = 0;
const waiting: (() => void)[] = [];

/**
 * Hashes `password` with the method, salt and cost of `setting`. null: this system cannot (unknown method, over
 * 511 bytes, or a NUL byte, at which crypt(3) would stop reading).
 */
export async function crypt(password: Uint8Array, setting: string): Promise<string | null> {
  if (password.includes(0)) return null;
  addon ??= loadAddon();
  if (running >= MAX_RUNNING) await new Promise<void>((resolve) => waiting.push(resolve));
  else running++;
  try {
    return await addon.crypt(password, setting);
  } finally {
    // The slot goes to the next in the line, or back.
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

/** Loads the addon now, so that a missing one is met at start. Throws. */
export function loadAddon(): CryptAddon {
  const path = join(packageRoot(), 'native', 'build', 'Release', 'ocvpn_crypt.node');
  if (!existsSync(path)) throw new Error(`${path} is not built (node-gyp rebuild -C native)`);
  return createRequire(import.meta.url)(path) as CryptAddon;
}

/** The directory with package.json: at different heights above the sources and the build. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && directory !== '/') directory = dirname(directory);
  return directory;
}
