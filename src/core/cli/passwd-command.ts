/** What the `vpn passwd` commands share: their flags and how they report errors. */
import { Args, Command, Flags } from '@oclif/core';
import { VpnError } from '../errors.js';
import { DEFAULT_DATA_DIR, passwdFile } from '../users/passwd-target.js';

export const fileFlags = {
  passwd: Flags.string({ char: 'c', summary: 'Password file; without it ocpasswd in the data directory.' }),
  'data-dir': Flags.string({ summary: 'Directory of state of the server.', default: DEFAULT_DATA_DIR }),
};

const group = { char: 'g', summary: 'Groups, separated by commas; an empty value or * for none.' } as const;
export const groupFlag = Flags.string(group);
export const requiredGroupFlag = Flags.string({ ...group, required: true });

export const userArgument = Args.string({ required: true, description: 'Name of the user.' });

export abstract class PasswdCommand extends Command {
  protected file(flags: { passwd: string | undefined; 'data-dir': string }): string {
    return passwdFile(flags.passwd, flags['data-dir']);
  }

  /** Failures that a user can meet are one line; anything else is a bug and keeps its stack. */
  protected override async catch(error: Error & { exitCode?: number }): Promise<unknown> {
    if (error instanceof VpnError) this.error(error.message, { code: error.code, exit: 1 });
    return super.catch(error);
  }
}

/** `a,b` → two names; '' and `*` → none. */
export function groupList(text: string): string[] {
  return text === '' || text === '*' ? [] : text.split(',').map((name) => name.trim());
}
