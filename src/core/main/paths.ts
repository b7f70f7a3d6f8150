/** Files below the run directory. */
import { join, resolve } from 'node:path';
import type { VhostConfig } from '../config/schema.js';

export interface RunPaths {
  readonly runDir: string;
  /** Workers connect here. */
  readonly main: string;
  readonly secmod: string;
  readonly control: string;
  /** See MainState. */
  readonly state: string;
  /** For the occtl program. */
  readonly occtl: string;
}

/** socket-file and occtl-socket-file may lie elsewhere. */
export function runPaths(runDir: string, options: VhostConfig): RunPaths {
  const dir = resolve(runDir);
  return {
    runDir: dir,
    main: join(dir, 'main.sock'),
    state: join(dir, 'main.state'),
    secmod: options['socket-file'] === '' ? join(dir, 'secmod.sock') : options['socket-file'],
    control: join(dir, 'ctl.sock'),
    occtl: options['occtl-socket-file'] === '' ? '/var/run/occtl.socket' : options['occtl-socket-file'],
  };
}
