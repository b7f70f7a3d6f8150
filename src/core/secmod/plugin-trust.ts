/** Whether code may be run by a process that holds keys: nobody but root may be able to change it. */
import { lstatSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Throws if somebody else than root (or the user of this process) owns or may write `path`, what it points to, or a
 * folder above either.
 */
export function assertTrusted(path: string): void {
  for (const start of new Set([resolve(path), realpathSync(path)])) {
    for (let at = start; ; at = dirname(at)) {
      assertEntryTrusted(at);
      if (at === dirname(at)) break;
    }
  }
}

function assertEntryTrusted(path: string): void {
  const { uid, mode } = lstatSync(path);
  if (uid !== 0 && uid !== process.getuid?.()) throw new Error(`${path} belongs to another user than root`);
  const isLink = (mode & 0o170000) === 0o120000;
  const isSticky = (mode & 0o1000) !== 0;
  // In a sticky folder others can add, but not replace.
  if (!isLink && !isSticky && (mode & 0o022) !== 0)
    throw new Error(`${path} can be written by others than root`);
}
