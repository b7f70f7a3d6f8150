/** Checks that the files, directories and programs that options name are there and can be used by this process. */
import { constants as access, accessSync, statSync } from 'node:fs';
import { fileReason } from '../util/file-reason.js';
import { parseAuthMethod } from './auth-method.js';
import type { Problem, VhostCheck } from './cross-checks.js';
import { embeddedPaths } from './embedded.js';
import type { Consumer, OptionSpec } from './option-spec.js';
import { type OptionName, options, type VhostConfig } from './schema.js';

type Kind = 'file' | 'directory' | 'program';

const RIGHTS: Readonly<Record<Kind, number>> = {
  file: access.R_OK,
  directory: access.R_OK | access.X_OK,
  program: access.X_OK,
};
/**
 * Sub-options of authentication methods that name a file; '' is ocserv's older form without a name. The password file
 * of plain is not among them: it comes with its first user.
 */
const METHOD_FILES: Readonly<Record<string, readonly string[]>> = {
  plain: ['otp'],
  radius: ['', 'config'],
  gssapi: ['keytab'],
  oidc: ['', 'config'],
};
const METHODS: readonly OptionName[] = ['auth', 'enable-auth', 'acct'];

/**
 * The check of what `consumers` read: a process may not see the files of another. The certificate of the data
 * directory need not be there yet, it is made when it is wanted.
 */
export function fileCheck(dataDir: string, consumers: readonly Consumer[]): VhostCheck {
  const { serverCert, serverKey } = embeddedPaths(dataDir);
  const made = [serverCert, serverKey];
  const names = (Object.entries(options) as [OptionName, OptionSpec][])
    .filter(([, spec]) => spec.for.some((role) => consumers.includes(role)))
    .map(([name]) => name);
  return (vhost) =>
    names.flatMap((option) =>
      filesOf(option, vhost)
        .filter(({ path }) => !made.includes(path))
        .flatMap((named) => problemOf(option, named)),
    );
}

interface Named {
  readonly path: string;
  readonly kind: Kind;
}

function filesOf(option: OptionName, vhost: VhostConfig): Named[] {
  const value: unknown = vhost[option];
  const texts: string[] = (Array.isArray(value) ? value : [value]).filter((text) => text !== '');
  if (METHODS.includes(option)) return texts.flatMap(methodFiles);
  const { format }: OptionSpec = options[option];
  if (format !== 'file' && format !== 'directory' && format !== 'program') return [];
  // A program without a slash is looked for in PATH when it is run.
  return texts
    .filter((path) => format !== 'program' || path.includes('/'))
    .map((path) => ({ path, kind: format }));
}

function methodFiles(text: string): Named[] {
  const method = parseAuthMethod(text);
  if (typeof method === 'string') return [];
  const wanted = METHOD_FILES[method.name] ?? [];
  return [...method.options]
    .filter(([name, path]) => wanted.includes(name) && path !== '')
    .map(([, path]) => ({ path, kind: 'file' }));
}

function problemOf(option: OptionName, { path, kind }: Named): Problem[] {
  const problem = (reason: string): Problem[] => [{ option, problem: `${kind} "${path}": ${reason}` }];
  try {
    const entry = statSync(path);
    if (kind === 'directory' && !entry.isDirectory()) return problem('it is not a directory');
    if (kind !== 'directory' && !entry.isFile()) return problem('it is not a regular file');
    // For root access(2) permits everything but running what nobody may run.
    accessSync(path, RIGHTS[kind]);
    return [];
  } catch (error) {
    const unrunnable = kind === 'program' && (error as NodeJS.ErrnoException).code === 'EACCES';
    return problem(unrunnable ? 'it may not be run (chmod +x)' : fileReason(error));
  }
}
