import Table from 'cli-table3';
import { jsonFlag } from '../../core/cli/flags.js';
import { fileFlags, PasswdCommand } from '../../core/cli/passwd-command.js';
import { list, type PasswdUser } from '../../core/users/passwd.js';

export default class PasswdList extends PasswdCommand {
  static override summary = 'List the users of a password file.';
  static override flags = { ...fileFlags, json: jsonFlag('Print a JSON array.') };

  async run(): Promise<void> {
    const { flags } = await this.parse(PasswdList);
    const users = list(this.file(flags));
    this.log(flags.json ? JSON.stringify(users, null, 2) : table(users));
  }
}

function table(users: readonly PasswdUser[]): string {
  const rows = new Table({ head: ['user', 'groups', 'locked'], style: { head: [], border: [] } });
  for (const { userName, groups, locked } of users)
    rows.push([userName, groups.join(', '), locked ? 'yes' : '']);
  return rows.toString();
}
