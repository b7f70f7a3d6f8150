/** A server in whose main and secmod the clock can be set (shifted-clock.ts). */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { runFolder, serveCommand } from './ocvpn.ts';
import type { Companion } from './process.ts';

const shiftedClock = join(import.meta.dirname, 'shifted-clock.ts');
const clockFile = (lab: Lab): string => `${lab.folder}/clock`;

/** For `launch` of startServer. */
export async function withClock(lab: Lab): Promise<Companion> {
  setClock(lab, 0);
  const env = { NODE_OPTIONS: `--import=${shiftedClock}`, CLOCK_FILE: clockFile(lab) };
  const main = lab.server.start('vpn', [...serveCommand(lab), '--run-dir', runFolder(lab)], { env });
  await main.waitFor(/vpn is ready/);
  return main;
}

/** From now on it is later than it is by so many seconds, or earlier. */
export function setClock(lab: Lab, seconds: number): void {
  writeFileSync(`${clockFile(lab)}.new`, `${seconds}`);
  renameSync(`${clockFile(lab)}.new`, clockFile(lab));
}
