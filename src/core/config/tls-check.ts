/** Asks OpenSSL whether it takes what `tls-priorities` means, so that no worker meets that at its start. */
import { native } from '../native/index.js';
import type { Problem } from './cross-checks.js';
import { mapPriority } from './gnutls-priority.js';
import type { VhostConfig } from './schema.js';

/** A VhostCheck. What leaves nothing to ask for is told by the check of the text alone. */
export function tlsCheck({ 'tls-priorities': priority }: VhostConfig): Problem[] {
  const settings = mapPriority(priority);
  if (typeof settings === 'string') return [];
  const why = native.checkTlsSuites(settings);
  if (why === null) return [];
  const problem = `"${priority}" is not taken by OpenSSL: ${why}${culprit(priority)}`;
  return [{ option: 'tls-priorities', problem }];
}

/** The word with which it went wrong. */
function culprit(priority: string): string {
  const words = priority.split(':');
  const isTaken = (count: number): boolean => {
    const settings = mapPriority(words.slice(0, count).join(':'));
    return typeof settings !== 'string' && native.checkTlsSuites(settings) === null;
  };
  const taken = words.findLastIndex((_, index) => isTaken(index + 1));
  return ` (since ${words[taken + 1]})`;
}
