/** A folder of PAM services on the test's own module (pam-module.c), for real transactions that touch no account. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const source = join(import.meta.dirname, 'pam-module.c');

/** Builds the module into `directory`; returns its path. */
export function buildPamModule(directory: string): string {
  const module = join(directory, 'pam_ocvpn_test.so');
  execFileSync('g++', [
    '-x',
    'c',
    '-shared',
    '-fPIC',
    '-fvisibility=hidden',
    '-Wall',
    '-Werror',
    '-o',
    module,
    source,
    '-lpam',
  ]);
  return module;
}

/** Writes the file of a service that runs the module, in every phase, with these arguments. */
export function writeService(directory: string, service: string, module: string, ...args: string[]): void {
  const phases = ['auth', 'account', 'password', 'session'];
  const lines = phases.map((phase) => `${phase} required ${module} ${args.join(' ')}\n`);
  writeFileSync(join(directory, service), lines.join(''));
}
