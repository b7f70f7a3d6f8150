import {
  fileFlags,
  groupList,
  PasswdCommand,
  requiredGroupFlag,
  userArgument,
} from '../../core/cli/passwd-command.js';
import { changeGroups } from '../../core/users/passwd.js';

export default class PasswdGroups extends PasswdCommand {
  static override summary = 'Set the groups of a user, keeping the password.';
  static override examples = ['<%= config.bin %> passwd groups alice --group staff,tech'];
  static override args = { user: userArgument };
  static override flags = { ...fileFlags, group: requiredGroupFlag };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PasswdGroups);
    await changeGroups(this.file(flags), args.user, groupList(flags.group));
    this.log(`The groups of user ${args.user} are set.`);
  }
}
