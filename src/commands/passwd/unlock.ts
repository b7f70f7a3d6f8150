import { fileFlags, PasswdCommand, userArgument } from '../../core/cli/passwd-command.js';
import { unlock } from '../../core/users/passwd.js';

export default class PasswdUnlock extends PasswdCommand {
  static override summary = 'Allow logins of a locked user again.';
  static override args = { user: userArgument };
  static override flags = fileFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PasswdUnlock);
    await unlock(this.file(flags), args.user);
    this.log(`User ${args.user} is unlocked.`);
  }
}
