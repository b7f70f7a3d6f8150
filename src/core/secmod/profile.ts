/** user-profile: the AnyConnect XML profile that clients fetch after login. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { VpnError } from '../errors.js';

export interface Profile {
  /** Name of the file, as clients see it. */
  readonly name: string;
  readonly content: Uint8Array;
}

/** SEC_GET_VHOST_REP carries so much. */
const MAX_BYTES = 256 * 1024;

/** Reads the file; null without one. @throws VpnError OCS_FILE */
export function loadProfile(path: string): Profile | null {
  if (path === '') return null;
  const fail = (reason: string, cause?: unknown): never => {
    throw new VpnError('OCS_FILE', { what: 'user-profile', path, reason }, { cause });
  };
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error), error);
  }
  if (content.length > MAX_BYTES) fail(`it has ${content.length} bytes, ${MAX_BYTES} are the limit`);
  return { name: basename(path), content: Uint8Array.from(content) };
}
