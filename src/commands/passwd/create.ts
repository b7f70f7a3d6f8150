import { Flags } from '@oclif/core';
import {
  fileFlags,
  groupFlag,
  groupList,
  PasswdCommand,
  userArgument,
} from '../../core/cli/passwd-command.js';
import { setPassword } from '../../core/users/passwd.js';
import { readNewPassword } from '../../core/users/read-password.js';

export default class PasswdCreate extends PasswdCommand {
  static override summary = 'Create a user, or give one a new password.';
  static override description =
    'The password is asked for twice on a terminal; otherwise it is one line of standard input. A user that exists keeps the groups unless --group is given.';
  static override aliases = ['passwd:update'];
  static override examples = [
    '<%= config.bin %> passwd create alice --group staff,tech',
    'pwgen -s 16 1 | <%= config.bin %> passwd create bob --password-stdin',
  ];
  static override args = { user: userArgument };
  static override flags = {
    ...fileFlags,
    group: groupFlag,
    'password-stdin': Flags.boolean({ summary: 'Read the password from standard input, without asking.' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PasswdCreate);
    const password = await readNewPassword(args.user, flags['password-stdin']);
    const groups = flags.group === undefined ? undefined : groupList(flags.group);
    await setPassword(this.file(flags), args.user, password, groups);
    this.log(`The password of user ${args.user} is set.`);
  }
}
