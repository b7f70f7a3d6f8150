/** What this process has open, by identity ('socket:[123]'): numbers are used again, identities are not. */
import { readdirSync, readlinkSync } from 'node:fs';

export const identityOf = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`);

export function isOpen(identity: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === identity;
    } catch {
      return false; // the descriptor of readdir itself
    }
  });
}
