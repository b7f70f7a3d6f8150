/** What the `vpn passwd` commands share: their flags and the file they work on. */
import { Args, Command, Flags } from '@oclif/core';
import { passwdFile } from '../users/passwd-target.js';
import { dataDirFlag } from './flags.js';

export const fileFlags = {
  passwd: Flags.string({ char: 'c', summary: 'Password file; without it ocpasswd in the data directory.' }),
  'data-dir': dataDirFlag,
};

const group = { char: 'g', summary: 'Groups, separated by commas; an empty value or * for none.' } as const;
export const groupFlag = Flags.string(group);
export const requiredGroupFlag = Flags.string({ ...group, required: true });

export const userArgument = Args.string({ required: true, description: 'Name of the user.' });

export abstract class PasswdCommand extends Command {
  protected file(flags: { passwd: string | undefined; 'data-dir': string }): string {
    return passwdFile(flags.passwd, flags['data-dir']);
  }
}

/** `a,b` → two names; '' and `*` → none. */
export function groupList(text: string): string[] {
  return text === '' || text === '*' ? [] : text.split(',').map((name) => name.trim());
}
