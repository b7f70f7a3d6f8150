/** What is checked of a configuration beyond its text, when all processes of the server are on this machine. */
import type { VhostCheck } from './cross-checks.js';
import { fileCheck } from './file-check.js';
import { tlsCheck } from './tls-check.js';

export function machineChecks(dataDir: string): VhostCheck[] {
  return [fileCheck(dataDir, ['main', 'secmod', 'worker']), tlsCheck];
}
