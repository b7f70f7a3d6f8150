/** How a command that failed ends: what a person reads on stderr, and the exit status. The same for all commands. */
import { Errors } from '@oclif/core';
import { handle } from '@oclif/core/errors';
import { didYouMean } from '../config/did-you-mean.js';
import { VpnError } from '../errors.js';
import { tell } from '../util/stderr.js';

const EXIT_ERROR = 1;
/** The command line itself is wrong: nothing was tried. */
const EXIT_USAGE = 2;
/** What oclif adds to its sentences; ours name the command. */
const OCLIF_HINT = /\nSee more help with --help$/;

/** What oclif's parser attaches to its errors. */
interface ParseError extends Error {
  readonly flags?: readonly string[];
  readonly parse?: { readonly input?: ParseInput };
}
interface ParseInput {
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly context?: { readonly id?: string };
}

/** Prints one line and ends the process: 1 for a failure of the catalogue, 2 for a wrong command line, else with a stack. */
export async function reportFailure(error: unknown): Promise<void> {
  const said = knownFailure(error);
  if (!said) return handle(error as Error);
  tell('error', `vpn: ${said.message}`);
  process.exit(said.code === 'OCS_USAGE' ? EXIT_USAGE : EXIT_ERROR);
}

/** The failure of the catalogue that an error is; null for an end without one, and for what is a mistake of this program. */
export function knownFailure(error: unknown): VpnError | null {
  if (error instanceof VpnError) return error;
  if (!(error instanceof Errors.CLIError) || error instanceof Errors.ExitError) return null;
  const { flags: unknown, parse, message } = error as ParseError;
  const { flags = {}, context } = parse?.input ?? {};
  const detail = unknown
    ? unknown.map((flag) => unknownFlag(flag, Object.keys(flags))).join(' ')
    : sentence(message);
  // Errors of single values do not say whose they are.
  return usageError(detail, context?.id ? `vpn ${context.id.replaceAll(':', ' ')} --help` : '--help');
}

/** A wrong command line as a whole sentence, and the command that tells more. */
export function usageError(detail: string, help: string): VpnError {
  return new VpnError('OCS_USAGE', { detail, help });
}

/** `words` that are no command, with the one that may have been meant. */
export function unknownCommand(words: readonly string[], ids: readonly string[]): VpnError {
  const known = ids.map((id) => id.replaceAll(':', ' '));
  const given = words.join(' ');
  const last = words.at(-1) ?? '';
  const [head = ''] = words;
  const meant =
    didYouMean(given, known) ??
    known.find((phrase) => phrase.startsWith(`${head} `) && phrase.endsWith(` ${last}`));
  return usageError(`There is no command "${given}"${suggestion(meant && `"vpn ${meant}"`)}`, 'vpn --help');
}

function unknownFlag(flag: string, known: readonly string[]): string {
  const meant = flag.startsWith('--') ? didYouMean(flag.slice(2), known) : null;
  return `There is no option ${flag}${suggestion(meant && `--${meant}`)}`;
}

/** The end of a sentence about a name that is not there. */
const suggestion = (meant: string | null | undefined): string => (meant ? `: did you mean ${meant}?` : '.');

/** oclif's words as one sentence. */
function sentence(message: string): string {
  const line = message
    .replace(OCLIF_HINT, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/^Parsing (--\S+) /, '$1: ')
    .replaceAll(/ {2,}/g, ': ');
  return line.endsWith('.') ? line : `${line}.`;
}
