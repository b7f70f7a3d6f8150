/** PAM through the whole server, with pam_unix on accounts in an /etc of the server's own, and the test's module. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { addAccount, addGroup, copyEtc } from '../support/etc.ts';
import { authPost, authReply, exchange } from '../support/https.ts';
import { type Lab, openLab } from '../support/lab.ts';
import { authenticate, type ClientRequest, connect, startClient } from '../support/openconnect.ts';
import { buildPamModule, writeService } from '../support/pam.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const FRESH = 'Tr0ub4dor-and-3';
const LONG = 'long'.repeat(50);
const accounts = [
  { name: 'unix', password: 'secret' },
  { name: 'long', password: LONG },
  { name: 'locked', password: 'secret', lock: '!' },
  { name: 'expired', password: 'secret', shadow: '20000:0:99999:7::1:' },
  { name: 'mustchange', password: 'secret', shadow: '0:0:99999:7:::' },
];

function makeEtc(lab: Lab): string {
  const etc = copyEtc(lab);
  for (const [i, account] of accounts.entries())
    addAccount(etc, { ...account, uid: 61_000 + i, gid: 61_000 });
  addGroup(etc, 'everyone', 61_000);
  addGroup(etc, 'staff61', 61_001, 'unix');
  addGroup(etc, 'small', 60_999, 'unix');
  const phases = ['auth', 'account', 'password'];
  writeFileSync(`${etc}/pam.d/unix`, phases.map((phase) => `${phase} required pam_unix.so\n`).join(''));
  return etc;
}

interface Started {
  readonly lab: Lab;
  readonly server: VpnServer;
  readonly etc: string;
  readonly logIn: (user: string, password: string, further?: string) => Promise<number>;
}

/** A server with `auth: pam[service=…]`; what the module is told, for a service on it. */
async function start(service: string, prepare: (lab: Lab) => readonly string[] = () => []): Promise<Started> {
  const lab = await openLab();
  const etc = makeEtc(lab);
  const told = prepare(lab);
  if (told.length > 0) writeService(`${etc}/pam.d`, service, buildPamModule(lab.folder), ...told);
  const options = { auth: [`pam[service=${service},gid-min=61000]`], 'auth-timeout': 8 };
  const server = await startServer(lab, 'ocvpn', { options, etc });
  const logIn = async (user: string, password: string, further?: string) =>
    (await authenticate(lab, server, request(user, password, further))).code;
  return { lab, server, etc, logIn };
}

function request(user: string, password: string, further?: string): ClientRequest {
  const args = further === undefined ? [] : [`--form-entry=main:secondary_password=${further}`];
  return { user, password, args };
}

test('pam_unix: accounts that may log in, and those that may not', async () => {
  const { lab, server, etc, logIn } = await start('unix');
  await connect(lab, server, request('unix', 'secret'));
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'unix', group: 'everyone' })]);
  expect(await logIn('long', LONG)).toBe(0);

  const refused = [
    ['unix', 'wrong'],
    ['long', `${LONG.slice(0, -1)}x`],
    ['nobody-here', 'secret'],
    ['locked', 'secret'],
    ['expired', 'secret'],
    ['mustchange', 'secret'],
  ] as const;
  const codes = await Promise.all(refused.map(([user, password]) => logIn(user, password)));
  expect(codes).not.toContain(0);

  // pam_unix wants the old password again, and then the new one twice.
  const old = readFileSync(`${etc}/shadow`, 'utf8');
  const answers = ['secret', FRESH, FRESH].map((text) => `<secondary_password>${text}</secondary_password>`);
  const bodies = ['<username>mustchange</username>', '<password>secret</password>', ...answers];
  const { replies } = await exchange(
    lab,
    bodies.map((body) => authPost('/auth', authReply(body))),
  );
  expect(replies.slice(0, 4).map(({ body }) => /<message[^>]*>([^<]*)/.exec(body)?.[1])).toEqual([
    'Please enter your password.',
    expect.stringContaining('Current password:'),
    expect.stringContaining('New password:'),
    expect.stringContaining('Retype new password:'),
  ]);
  expect(replies.at(-1)?.body).toContain('<auth id="success">');
  expect(readFileSync(`${etc}/shadow`, 'utf8')).not.toBe(old);
  expect(await logIn('mustchange', FRESH)).toBe(0);
  expect(server.process.output).not.toMatch(/Tr0ub4dor|longlong/);
});

test('the selected group must be one of the Unix groups from gid-min on', async () => {
  const lab = await openLab();
  const options = { auth: ['pam[service=unix,gid-min=61000]'], 'select-group': ['staff61', 'small', 'root'] };
  const server = await startServer(lab, 'ocvpn', { options, etc: makeEtc(lab) });
  const choose = (group: string) => ({ ...request('unix', 'secret'), args: [`--authgroup=${group}`] });
  await connect(lab, server, choose('staff61'));
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'unix', group: 'staff61' })]);
  expect((await authenticate(lab, server, choose('small'))).code).not.toBe(0);
});

test('two prompts of a module: the second one is shown to the user', async () => {
  const { lab, server, logIn } = await start('two', () => [
    'ask=Password:=secret',
    'ask=Colour_of_the_day:=blue',
  ]);
  const { code, stderr, stdout } = await authenticate(lab, server, request('who', 'secret', 'blue'));
  expect({ code, shown: `${stderr}${stdout}`.includes('Colour of the day:') }).toEqual({
    code: 0,
    shown: true,
  });
  expect(await logIn('who', 'secret', 'red')).not.toBe(0);
});

test('three messages in one call of a module', async () => {
  const { logIn } = await start('three', () => ['three']);
  expect(await logIn('who', 'left', 'right')).toBe(0);
  expect(await logIn('who', 'right', 'left')).not.toBe(0);
});

test('a hanging module holds up nobody else and is cut off at auth-timeout', async () => {
  let fifo = '';
  const { logIn } = await start('hang', (lab) => {
    fifo = `${lab.folder}/fifo`;
    execFileSync('mkfifo', [fifo]);
    return ['ask=Password:=stuck', `hang=${fifo}`];
  });
  const stuck = logIn('who', 'stuck');
  await until('the module to hang', () => existsSync(`${fifo}.reached`));
  expect(await logIn('other', 'wrong')).not.toBe(0);
  expect(await stuck).not.toBe(0);
});

test('acct: pam has a session as long as the tunnel, and admits no account that PAM refuses', async () => {
  const lab = await openLab();
  const etc = makeEtc(lab);
  const log = `${lab.folder}/sessions`;
  const module = buildPamModule(lab.folder);
  writeService(`${etc}/pam.d`, 'vpn', module, `log=${log}`);
  writeService(`${etc}/pam.d`, 'closed', module, 'account=13');
  const auth = [`plain[passwd=${lab.folder}/ocpasswd]`];
  const vhosts = { 'closed.example.com': { auth, acct: 'pam[service=closed]' } };
  const server = await startServer(lab, 'ocvpn', {
    options: { auth, acct: 'pam[service=vpn]' },
    vhosts,
    etc,
  });
  const client = await connect(lab, server);
  const noted = (what: string) =>
    existsSync(log) && readFileSync(log, 'utf8').includes(`${what} alice 10.70.0.2`);
  await until('the PAM session to open', () => noted('open'));
  expect(noted('close')).toBe(false);
  await client.end('SIGINT');
  await until('the PAM session to close', () => noted('close') && noted('delete'));

  const refused = startClient(lab, server, { name: 'closed.example.com' });
  expect((await refused.process.ended()).code).not.toBe(0);
  expect(server.process.output).toContain('PAM refuses the account');
});
