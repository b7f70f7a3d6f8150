/** Which password file `vpn passwd` works on. */
import { join } from 'node:path';

export const DEFAULT_DATA_DIR = '/var/lib/vpn';

/** The file that was named, else that of the embedded default. */
export function passwdFile(named: string | undefined, dataDir: string): string {
  return named ?? join(dataDir, 'ocpasswd');
}
