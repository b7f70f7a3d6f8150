/** What all `vpn ctl` commands share: their flags, and one call with its output and exit status. */
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import { VpnError } from '../errors.js';
import { callControl } from './client.js';
import type { VerbArgs, VerbName, VerbResult } from './verbs.js';

export const DEFAULT_RUN_DIR = '/run/vpn';
export const CONTROL_SOCKET = 'ctl.sock';

export const ctlFlags = {
  'run-dir': Flags.directory({
    description: 'Run directory of the server',
    default: DEFAULT_RUN_DIR,
    env: 'VPN_RUN_DIR',
    helpValue: 'DIR',
  }),
  'socket-file': Flags.string({
    char: 's',
    description: 'Control socket, if not in the run directory',
    helpValue: 'FILE',
  }),
  json: Flags.boolean({ char: 'j', description: 'Print JSON' }),
};

export interface CtlFlags {
  readonly 'run-dir': string;
  readonly 'socket-file'?: string | undefined;
  readonly json: boolean;
}

const EXIT_ERROR = 1;
const EXIT_NOT_FOUND = 2;

/**
 * Asks the server and prints its answer: `text` of it, or JSON. Errors go to stderr as one sentence (with --json as
 * `{"error":{"code","message"}}` on stdout). Sets the exit status: 0, 1 on an error, 2 when a user or ID is not there.
 */
export async function runCtl<N extends VerbName>(
  verb: N,
  args: VerbArgs<N>,
  flags: CtlFlags,
  text: (data: VerbResult<N>) => string,
): Promise<void> {
  const path = flags['socket-file'] ?? join(flags['run-dir'], CONTROL_SOCKET);
  try {
    const data = await callControl(path, verb, args);
    process.stdout.write(`${flags.json ? JSON.stringify(data, null, 2) : text(data)}\n`);
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    process.exitCode = error.code === 'OCS_CTL_NOT_FOUND' ? EXIT_NOT_FOUND : EXIT_ERROR;
    const { code, message } = error;
    if (flags.json) process.stdout.write(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
    else process.stderr.write(`vpn: ${message}\n`);
  }
}
