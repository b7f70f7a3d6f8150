/** Base of commands whose failures are sentences of the catalogue. */
import { Command } from '@oclif/core';
import { VpnError } from '../errors.js';

export abstract class ReportingCommand extends Command {
  /** Failures that a user can meet are one line; anything else is a bug and keeps its stack. */
  protected override async catch(error: Error & { exitCode?: number }): Promise<unknown> {
    if (error instanceof VpnError) this.error(error.message, { code: error.code, exit: 1 });
    return super.catch(error);
  }
}
