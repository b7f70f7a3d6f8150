/** Flags that several commands have, so that they are called and work alike. */
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import { DEFAULT_DATA_DIR } from '../users/passwd-target.js';

export const dataDirFlag = Flags.string({
  summary: 'Directory of state of the server.',
  default: DEFAULT_DATA_DIR,
  env: 'VPN_DATA_DIR',
  helpValue: 'DIR',
});

export const runDirFlag = Flags.string({
  summary: 'Run directory of the server.',
  default: '/run/vpn',
  env: 'VPN_RUN_DIR',
  helpValue: 'DIR',
});

/** The folder of certificates in the data directory. */
export const pkiFolder = (): string => join(process.env.VPN_DATA_DIR ?? DEFAULT_DATA_DIR, 'pki');

/** With `summary` where there is more to say. */
export const jsonFlag = (summary = 'Print JSON.') => Flags.boolean({ char: 'j', summary });
