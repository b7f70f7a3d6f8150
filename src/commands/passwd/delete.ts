import { fileFlags, PasswdCommand, userArgument } from '../../core/cli/passwd-command.js';
import { remove } from '../../core/users/passwd.js';

export default class PasswdDelete extends PasswdCommand {
  static override summary = 'Delete a user.';
  static override args = { user: userArgument };
  static override flags = fileFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PasswdDelete);
    await remove(this.file(flags), args.user);
    this.log(`User ${args.user} is deleted.`);
  }
}
