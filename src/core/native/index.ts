/** The addon, typed. The only module that loads the .node file. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { VpnError } from '../errors.js';
import type { NativeBinding } from './types.js';

export type * from './types.js';
export { READABLE, WRITABLE } from './types.js';

/** The same path from src/core/native and from dist/core/native. */
const ADDON = fileURLToPath(new URL('../../../native/build/Release/ocvpn.node', import.meta.url));

export const native: NativeBinding = load(ADDON);

/** @throws VpnError OCS_NO_ADDON */
function load(path: string): NativeBinding {
  try {
    return createRequire(import.meta.url)(path) as NativeBinding;
  } catch (error) {
    const reason = firstLine((error as Error).message);
    throw new VpnError('OCS_NO_ADDON', { path, reason }, { cause: error });
  }
}

/** require() appends the list of its callers. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
