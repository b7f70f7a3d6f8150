/** What users type and show stays in no log, in no core file, and in no memory once the login is over. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pidsOf } from '../support/census.ts';
import { addAccount, copyEtc } from '../support/etc.ts';
import { SECRET, startRadius, writeRadcli } from '../support/freeradius.ts';
import { labKdc, proxiedClient } from '../support/kdc.ts';
import { openLab } from '../support/lab.ts';
import { secretsIn } from '../support/memory.ts';
import { runFolder, serveCommand } from '../support/ocvpn.ts';
import { authenticate, connect } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const KERBEROS = 'vpn.example.com';
const METHODS = ['plain', 'pam', 'radius'] as const;
const right = (method: string): string => `Quite-Unusual-${method}-7`;
const wrong = (method: string): string => `Wrong-But-Near-${method}-7`;

/** How a secret would look in a log. */
function forms(secret: Uint8Array): string[] {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  return [bytes.toString('latin1'), bytes.toString('base64'), hex, hex.toUpperCase(), bytes.join(',')];
}

test('after logins with every method nothing that was typed is in a log or in a memory', async () => {
  const lab = await openLab();
  const kdc = await labKdc(lab);
  const keytab = join(lab.folder, 'http.keytab');
  await kdc.addService(`HTTP/${KERBEROS}`, keytab);
  const etc = copyEtc(lab);
  addAccount(etc, { name: 'alice', password: right('pam'), uid: 61_000, gid: 61_000 });
  copyFileSync(kdc.conf, join(etc, 'krb5.conf'));
  writeFileSync(`${etc}/pam.d/unix`, 'auth required pam_unix.so\naccount required pam_unix.so\n');
  await startRadius(lab, { users: `alice Cleartext-Password := "${right('radius')}"` });
  const server = await startServer(lab, 'ocvpn', {
    etc,
    users: [{ name: 'alice', password: right('plain') }],
    options: { 'log-level': 9, kkdcp: [`/KdcProxy LAB.TEST tcp@${kdc.place}`] },
    vhosts: {
      'pam.test': { auth: ['pam[service=unix]'] },
      'radius.test': { auth: [`radius[config=${writeRadcli(lab)}]`] },
      [KERBEROS]: { auth: [`gssapi[keytab=${keytab}]`] },
    },
  });
  for (const method of METHODS) {
    const at = method === 'plain' ? {} : { name: `${method}.test` };
    expect((await authenticate(lab, server, { ...at, password: wrong(method) })).code).not.toBe(0);
    expect((await authenticate(lab, server, { ...at, password: right(method) })).code).toBe(0);
  }
  await connect(lab, server, { password: right('plain') });
  const env = proxiedClient(lab, join(lab.folder, 'rsa-cert.pem'));
  await lab.client().must(['kinit', 'alice'], { env, input: 'secret\n' });
  const ticket = await authenticate(lab, server, { name: KERBEROS, env, password: 'not needed' });
  expect(ticket.code).toBe(0);
  const [, token = ''] = /Authorization: Negotiate (\S{200,})/.exec(ticket.stderr + ticket.stdout) ?? [];
  const middle = Buffer.from(token, 'base64').subarray(99, 99 + 48);
  expect(middle).toHaveLength(48);

  const log = server.process.output;
  expect(log).toMatch(/"level":(10|20)/);
  const typed = METHODS.flatMap((method) => [right(method), wrong(method)]);
  const secrets = [...typed.map((text) => Buffer.from(text)), middle, Buffer.from(SECRET)];
  for (const form of secrets.flatMap(forms)) expect(log).not.toContain(form);

  const wanted = new Map(typed.map((text) => [text, Buffer.from(text)]));
  // What is still known shows that the search finds.
  wanted.set('known', Buffer.from(keytab));
  const found = new Set<string>();
  for (const pid of await pidsOf(lab)) {
    if (!existsSync(`/proc/${pid}/mem`)) continue;
    for (const name of secretsIn(pid, wanted)) found.add(name);
  }
  expect([...found]).toEqual(['known']);
});

test('a process that crashes leaves no core file', async () => {
  const lab = await openLab();
  const folder = join(lab.folder, 'crashes');
  mkdirSync(folder);
  // Where the kernel would write them, with all limits off.
  const permissive = ['sh', '-c', 'chmod 777 "$0" && cd "$0" && ulimit -c unlimited && exec "$@"', folder];
  const launch = async () => {
    const command = [...serveCommand(lab), '--run-dir', runFolder(lab)];
    const main = lab.server.start('vpn', [...permissive, ...command]);
    await main.waitFor(/vpn is ready/);
    return main;
  };
  const cores = (): string[] => readdirSync(folder);
  const plain = /^[^|/]/.test(readFileSync('/proc/sys/kernel/core_pattern', 'utf8'));
  await lab.server.run([...permissive, 'sh', '-c', 'kill -SEGV $$']);
  // Only with such a pattern can it be seen here; elsewhere a program of the machine gets the dump.
  expect(cores().length > 0).toBe(plain);
  for (const core of cores()) rmSync(join(folder, core));

  const server = await startServer(lab, 'ocvpn', { launch });
  await connect(lab, server);
  const named = (name: string, word: string) => (pid: number) =>
    readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name &&
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word);
  const crash = async (who: (pid: number) => boolean, signal: NodeJS.Signals): Promise<void> => {
    const pid = await until('such a process', async () => (await pidsOf(lab)).find(who));
    process.kill(pid, signal);
    await until('its end', () => !existsSync(`/proc/${pid}`) || isZombie(pid));
  };
  await crash(named('ocvpn-session', 'worker'), 'SIGSEGV');
  await crash(named('MainThread', 'worker'), 'SIGABRT');
  await crash(named('MainThread', 'secmod'), 'SIGSEGV');
  await crash((pid) => pid === server.process.pid, 'SIGABRT');
  expect(cores()).toEqual([]);
});

const isZombie = (pid: number): boolean => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
