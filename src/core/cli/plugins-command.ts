/** What the `vpn plugins` commands share. */
import { Flags } from '@oclif/core';
import { DEFAULT_DATA_DIR } from '../users/passwd-target.js';

export const pluginFlags = {
  'data-dir': Flags.string({ summary: 'Directory of state of the server.', default: DEFAULT_DATA_DIR }),
};
