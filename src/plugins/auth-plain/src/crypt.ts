/** crypt(3), a few at once. */
import { loadAddon } from './addon.js';

/**
 * Hashes that run at once. libuv's pool has four threads by default and secmod signs TLS handshakes there too:
 * a flood of logins must leave room for them.
 */
const MAX_RUNNING = 2;

let running = 0;
const waiting: (() => void)[] = [];

/**
 * Hashes `password` with the method, salt and cost of `setting`. null: this system cannot (unknown method, over
 * 511 bytes, or a NUL byte, at which crypt(3) would stop reading).
 */
export async function crypt(password: Uint8Array, setting: string): Promise<string | null> {
  if (password.includes(0)) return null;
  const addon = loadAddon();
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
