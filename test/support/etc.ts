/** An /etc of the server's own, with accounts that the machine does not have. */
import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import type { Lab } from './lab.ts';

export interface Account {
  readonly name: string;
  readonly password: string;
  readonly uid: number;
  readonly gid: number;
  /** Before the hash: '!' locks. */
  readonly lock?: string;
  /** Fields of shadow(5) after the hash: last change, minimum, maximum, warning, inactivity, expiry in days. */
  readonly shadow?: string;
}

/** A copy of the machine's /etc, for `etc` of startServer. */
export function copyEtc(lab: Lab): string {
  const etc = `${lab.folder}/etc`;
  execFileSync('cp', ['-a', '/etc', etc]);
  return etc;
}

export function addAccount(etc: string, account: Account): void {
  const { name, password, uid, gid, lock = '', shadow = '20000:0:99999:7:::' } = account;
  const hash = execFileSync('openssl', ['passwd', '-6', '-stdin'], { input: password }).toString().trim();
  appendFileSync(`${etc}/passwd`, `${name}:x:${uid}:${gid}::/nonexistent:/bin/false\n`);
  appendFileSync(`${etc}/shadow`, `${name}:${lock}${hash}:${shadow}\n`);
}

export function addGroup(etc: string, name: string, gid: number, ...members: readonly string[]): void {
  appendFileSync(`${etc}/group`, `${name}:x:${gid}:${members.join(',')}\n`);
}
