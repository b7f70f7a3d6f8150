/** Socket files of listeners in main. */
import { lstatSync, unlinkSync } from 'node:fs';

/** Removes a socket file; anything else with that name is not ours to remove. */
export function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
}
