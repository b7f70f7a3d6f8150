import { fileFlags, PasswdCommand, userArgument } from '../../core/cli/passwd-command.js';
import { lock } from '../../core/users/passwd.js';

export default class PasswdLock extends PasswdCommand {
  static override summary = 'Refuse logins of a user, keeping the password.';
  static override args = { user: userArgument };
  static override flags = fileFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PasswdLock);
    await lock(this.file(flags), args.user);
    this.log(`User ${args.user} is locked.`);
  }
}
