/** Logins of the stock client with a Kerberos ticket, which it got through the server's own proxy for KDCs. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { addAccount, addGroup, copyEtc } from '../support/etc.ts';
import { exchange } from '../support/https.ts';
import { type Kdc, labKdc, proxiedClient, startKdc } from '../support/kdc.ts';
import { type Lab, openLab } from '../support/lab.ts';
import { authenticate, type ClientRequest, connect } from '../support/openconnect.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const credentials = '<?xml version="1.0"?><auth><username>alice</username><password>secret</password></auth>';
const NAME = 'vpn.example.com';

interface Started {
  readonly lab: Lab;
  readonly kdc: Kdc;
  readonly server: VpnServer;
  /** Environment of the client. */
  readonly env: Record<string, string>;
  readonly request: ClientRequest;
}

/** A server with the keytab of its service (`beside`: passwords are enough, too); alice has an account there, in the group staff61. */
async function start(method: string, { beside = false } = {}): Promise<Started> {
  const lab = await openLab();
  const kdc = await labKdc(lab);
  const keytab = join(lab.folder, 'http.keytab');
  await kdc.addService(`HTTP/${NAME}`, keytab);
  const etc = copyEtc(lab);
  copyFileSync(kdc.conf, join(etc, 'krb5.conf'));
  addAccount(etc, { name: 'alice', password: 'of no use', uid: 61_000, gid: 61_001 });
  addGroup(etc, 'staff61', 61_001);
  const gssapi = `gssapi[keytab=${keytab}${method}]`;
  const kkdcp = [`/KdcProxy LAB.TEST tcp@${kdc.place}`];
  const methods = beside
    ? { auth: [`plain[passwd=${lab.folder}/ocpasswd]`], 'enable-auth': [gssapi] }
    : { auth: [gssapi] };
  const server = await startServer(lab, 'ocvpn', { etc, options: { kkdcp, ...methods } });
  const env = proxiedClient(lab, join(lab.folder, 'rsa-cert.pem'));
  return { lab, kdc, server, env, request: { name: NAME, env, password: 'not needed' } };
}

const kinit = (lab: Lab, env: Record<string, string>, ...flags: string[]): Promise<string> =>
  lab.client().must(['kinit', ...flags, 'alice'], { env, input: 'secret\n' });

test('with a ticket: no password, the local name and its Unix group; without one nobody gets in', async () => {
  const { lab, server, env, request } = await start(',tgt-freshness-time=3600');
  const without = await authenticate(lab, server, request);
  expect([without.code === 0, without.stderr]).toEqual([false, expect.stringContaining('Negotiate')]);
  await kinit(lab, env);
  const client = await connect(lab, server, { ...request, args: ['--dump-http-traffic'] });
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'alice', group: 'staff61' })]);
  expect(client.process.output).toMatch(
    /HTTP\/1\.1 401 Unauthorized\n(?:< .*\n)*?.*WWW-Authenticate: Negotiate/,
  );
  expect(client.process.output).toMatch(/HTTP\/1\.1 200 OK[\s\S]*WWW-Authenticate: Negotiate \S{20}/);
  expect(server.process.output).toContain('alice@LAB.TEST');
});

test('while the KDC is dead tickets for the service are good, and nobody gets a new one until it is back', async () => {
  const { lab, kdc, server, env, request } = await start('');
  await kinit(lab, env);
  await lab.client().must(['kvno', `HTTP/${NAME}`], { env });
  await kdc.process.stop('SIGKILL');
  expect((await authenticate(lab, server, request)).code).toBe(0);
  await lab.client().must(['kdestroy'], { env });
  expect((await lab.client().run(['kinit', 'alice'], { env, input: 'secret\n' })).code).toBe(1);
  expect((await authenticate(lab, server, request)).code).not.toBe(0);
  await kdc.restart();
  await kinit(lab, env);
  expect((await authenticate(lab, server, request)).code).toBe(0);
});

test('a ticket that is too old by tgt-freshness-time, and one that has expired', async () => {
  const { lab, server, env, request } = await start(',tgt-freshness-time=1');
  await kinit(lab, env);
  const old = Date.now() + 2_000;
  await until('the ticket to be too old', () => Date.now() > old);
  expect((await authenticate(lab, server, request)).code).not.toBe(0);
  expect(server.process.output).toContain('too long ago');
  await kinit(lab, env, '-l', '3s');
  const valid = async () => (await lab.client().run(['klist', '-s'], { env })).code === 0;
  await until('the ticket to expire', async () => !(await valid()));
  const from = server.process.output.length;
  expect((await authenticate(lab, server, request)).code).not.toBe(0);
  expect(server.process.output.slice(from)).not.toContain('ticket accepted');
});

test('a ticket of another realm for a service of the same name', async () => {
  const { lab, server, env, request } = await start('');
  const foreign = await startKdc({
    folder: lab.folder,
    realm: 'OTHER.TEST',
    address: '127.0.0.1',
    port: 88,
    start: (name, command, extra) => lab.client().start(name, command, { env: extra }),
  });
  await foreign.addUser('alice', 'secret');
  await foreign.addService(`HTTP/${NAME}`, join(lab.folder, 'foreign.keytab'));
  const other = { ...env, KRB5_CONFIG: foreign.conf };
  await kinit(lab, other);
  expect((await authenticate(lab, server, { ...request, env: other })).code).not.toBe(0);
  expect(server.process.output).toContain('GSSAPI refused the login');
});

test('beside passwords: with a ticket none is asked for; without one, or with a useless one, it is', async () => {
  const { lab, server, env, request } = await start('', { beside: true });
  const byPassword = { ...request, password: 'secret' };
  expect((await authenticate(lab, server, byPassword)).code).toBe(0);
  expect((await authenticate(lab, server, { ...request, password: 'wrong' })).code).not.toBe(0);
  await kinit(lab, env);
  expect((await authenticate(lab, server, request)).code).toBe(0);

  const ask = (token: string) => ({
    method: 'POST',
    path: '/',
    headers: [
      ['X-Support-HTTP-Auth', 'true'],
      ...(token ? [['Authorization', `Negotiate ${token}`] as const] : []),
    ] as const,
    body: '<?xml version="1.0"?><config-auth type="init"/>',
  });
  const { replies } = await exchange(lab, [ask(''), ask('AAAA'), { ...ask(''), body: credentials }]);
  expect(replies.map(({ status }) => status)).toEqual([
    'HTTP/1.1 401 Unauthorized',
    'HTTP/1.1 200 OK',
    'HTTP/1.1 200 OK',
  ]);
  expect(replies[0]?.headers).toEqual([
    ['X-HTTP-Auth-Support', 'fallback'],
    ['WWW-Authenticate', 'Negotiate'],
    ['Content-Length', '0'],
  ]);
  expect(replies[1]?.body).toContain('name="password"');
  expect(replies[2]?.body).toContain('<auth id="success">');
});
