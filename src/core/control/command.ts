/** What all `vpn ctl` commands share: their flags, and one call with its output and exit status. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { usageError } from '../cli/failure.js';
import { runDirFlag } from '../cli/flags.js';
import { VpnError } from '../errors.js';
import { callControl } from './client.js';
import type { PlainVerb, VerbArgs, VerbResult } from './verbs.js';

export const CONTROL_SOCKET = 'ctl.sock';

export const ctlFlags = {
  'run-dir': runDirFlag,
  'socket-file': Flags.string({
    char: 's',
    description: 'Control socket, if not in the run directory',
    helpValue: 'FILE',
  }),
  json: Flags.boolean({ char: 'j', description: 'Print JSON (docs/schema)' }),
  'occtl-json': Flags.boolean({ description: "Print JSON with occtl's keys", exclusive: ['json'] }),
  'no-pager': Flags.boolean({ char: 'n', description: 'Do not page long output on a terminal' }),
};

/** An address as the server writes it in its tables. */
export const addressArgument = Args.custom<string>({
  parse: async (text) => {
    if (isIP(text) !== 0) return text;
    throw usageError(`"${text}" is not an IP address.`, 'vpn ctl show ip bans');
  },
})({ description: 'Address', required: true });

/** A connection's number. */
export const idArgument = Args.custom<number>({
  parse: async (text) => {
    if (/^[1-9]\d{0,9}$/.test(text)) return Number(text);
    throw usageError(`"${text}" is not an ID.`, 'vpn ctl show users');
  },
})({ description: 'ID as in "show users"', required: true });

export interface CtlFlags {
  readonly 'run-dir': string;
  readonly 'socket-file'?: string | undefined;
  readonly json: boolean;
  readonly 'occtl-json': boolean;
  readonly 'no-pager': boolean;
}

/** How a result looks to people, and to programs written for occtl. */
export interface View<R> {
  readonly text: (data: R) => string;
  readonly occtl: (data: R) => unknown;
  /** What of the answer is shown, if not all; in JSON too. */
  readonly select?: (data: R) => R;
  /** What occtl prints on stdout when there is none, and its exit status; without: a sentence on stderr and 2. */
  readonly absent?: { readonly text: string; readonly status: number };
}

/** A view of a verb that only reports what was done: occtl has the same sentence for both. */
export const said = <R>(text: (data: R) => string): View<R> => ({ text, occtl: text });

/** Of a shell: there is no such pager. */
const NO_SUCH_COMMAND = 127;
const EXIT_ERROR = 1;
const EXIT_NOT_FOUND = 2;

export const socketOf = (flags: Pick<CtlFlags, 'run-dir' | 'socket-file'>): string =>
  flags['socket-file'] ?? join(flags['run-dir'], CONTROL_SOCKET);

/**
 * Asks the server and prints its answer: as text, as JSON, or as occtl's JSON. Errors go to stderr as one sentence
 * (with --json as `{"error":{"code","message"}}` on stdout). Sets the exit status: 0, 1 on an error, 2 when a user or
 * ID is not there.
 */
export async function runCtl<N extends PlainVerb>(
  verb: N,
  args: VerbArgs<N>,
  flags: CtlFlags,
  view: View<VerbResult<N>>,
): Promise<void> {
  await reportErrors(flags, async () => {
    const answer = await callControl(socketOf(flags), verb, args).catch((error: unknown) => {
      if (view.absent === undefined || !isNotFound(error)) throw error;
      process.stdout.write(flags['occtl-json'] ? '[]\n' : `${view.absent.text}\n`);
      process.exitCode = view.absent.status;
    });
    if (answer === undefined) return;
    const text = render(view.select?.(answer) ?? answer, flags, view);
    if (text !== '') await page(`${text}\n`, flags);
  });
}

function render<R>(data: R, flags: CtlFlags, view: View<R>): string {
  if (flags.json) return JSON.stringify(data, null, 2);
  if (!flags['occtl-json']) return view.text(data);
  const shown = view.occtl(data);
  return typeof shown === 'string' ? shown : JSON.stringify(shown, null, 2);
}

export const isNotFound = (error: unknown): boolean =>
  error instanceof VpnError && error.code === 'OCS_CTL_NOT_FOUND';

/** Runs `task`; an error of the catalogue is printed and becomes the exit status. */
export async function reportErrors(flags: Pick<CtlFlags, 'json'>, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    process.exitCode = isNotFound(error) ? EXIT_NOT_FOUND : EXIT_ERROR;
    const { code, message } = error;
    if (flags.json) process.stdout.write(`${JSON.stringify({ error: { code, message } }, null, 2)}\n`);
    else process.stderr.write(`vpn: ${message}\n`);
  }
}

/** Writes the text, through a pager when it is longer than the terminal. */
async function page(text: string, flags: CtlFlags): Promise<void> {
  const { stdout } = process;
  if (flags['no-pager'] || !stdout.isTTY || text.split('\n').length <= stdout.rows) {
    stdout.write(text);
    return;
  }
  const pager = spawn('/bin/sh', ['-c', process.env.PAGER ?? 'less'], {
    stdio: ['pipe', 'inherit', 'ignore'],
  });
  // It may be left before it has read everything.
  pager.stdin.on('error', () => undefined);
  pager.stdin.end(text);
  const [status] = (await once(pager, 'close')) as [number | null];
  if (status === NO_SUCH_COMMAND) stdout.write(text);
}
