/** Client certificates through the whole server, with the stock client. */
import { expect, test } from 'vitest';
import { ClientPki } from '../support/client-pki.ts';
import { type Lab, openLab, outside } from '../support/lab.ts';
import { authenticate, type ClientRequest, connect, fetchCookie } from '../support/openconnect.ts';
import { type ServerOptions, startServer, type VpnServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const UID = '0.9.2342.19200300.100.1.1';
const TLS12 = '--gnutls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.2';

interface Started {
  readonly lab: Lab;
  readonly pki: ClientPki;
  readonly server: VpnServer;
  /** openconnect with the certificate of this name ('' for none): its exit status and all that it said. */
  readonly logIn: (name: string, request?: ClientRequest) => Promise<{ code: number; said: string }>;
}

interface Prepared {
  readonly options: ServerOptions;
  readonly vhosts?: Readonly<Record<string, ServerOptions>>;
}

async function start(prepare: (pki: ClientPki, lab: Lab) => Prepared): Promise<Started> {
  const lab = await openLab();
  const pki = new ClientPki(lab.folder);
  const { options, vhosts = {} } = prepare(pki, lab);
  const trust = { 'ca-cert': pki.path('ca.crt'), 'cert-user-oid': UID };
  const server = await startServer(lab, 'ocvpn', { options: { ...trust, ...options }, vhosts });
  const logIn = async (name: string, request: ClientRequest = {}) => {
    const args = [...(name === '' ? [] : pki.args(name)), ...(request.args ?? [])];
    const { code, stdout, stderr } = await authenticate(lab, server, { ...request, args });
    return { code, said: `${stdout}${stderr}` };
  };
  return { lab, pki, server, logIn };
}

/** The password file that the lab writes. */
const plain = (lab: Lab): string => `plain[passwd=${lab.folder}/ocpasswd]`;

test('a certificate alone: every key type, TLS 1.3 and 1.2; bad ones, revoked ones, none', async () => {
  const { lab, pki, server, logIn } = await start((made) => {
    made.issue('revoked');
    made.revoke('revoked');
    return { options: { auth: ['certificate'], crl: made.path('crl.pem') } };
  });
  for (const key of ['rsa', 'ec', 'ed25519'] as const) {
    // One of them is for everything, and so for this (RFC 5280 §4.2.1.12).
    pki.issue(key, { key, ...(key === 'ec' && { purpose: 'anyExtendedKeyUsage' }) });
    expect([key, (await logIn(key)).code, (await logIn(key, { args: [TLS12] })).code]).toEqual([key, 0, 0]);
  }
  await connect(lab, server, { args: pki.args('ec') });
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'ec' })]);

  pki.authority('stranger');
  pki.issue('expired', { expired: true });
  pki.issue('foreign', { by: 'stranger' });
  pki.issue('self-signed', { by: 'self' });
  pki.issue('for-servers', { purpose: 'serverAuth' });
  pki.issue('nameless', { subject: '/CN=nameless' });
  const bad = ['revoked', 'expired', 'foreign', 'self-signed', 'for-servers', 'nameless', ''];
  for (const name of bad) expect([name, (await logIn(name)).code]).not.toEqual([name, 0]);
  expect(server.process.output).toMatch(/certificate revoked/);

  // The list is read again when it changes.
  pki.issue('later');
  expect((await logIn('later')).code).toBe(0);
  pki.revoke('later');
  await until('the new list to count', async () => (await logIn('later')).code !== 0);
  expect((await logIn('ec')).code).toBe(0);
});

test('a certificate and a password: both must pass, for the same user', async () => {
  const { lab, pki, server, logIn } = await start((_, made) => ({
    options: { auth: ['certificate', plain(made)] },
  }));
  pki.issue('alice');
  pki.issue('self-signed', { by: 'self', subject: '/UID=alice' });
  const bob = { user: 'bob', password: 'b0b & <sons> "quoted" 100%' };
  expect((await logIn('alice')).code).toBe(0);
  expect((await logIn('alice', { password: 'wrong' })).code).not.toBe(0);
  expect((await logIn('alice', bob)).code).not.toBe(0);
  for (const name of ['', 'self-signed']) expect((await logIn(name)).said).toMatch(/401 No certificate/);

  // A cookie alone does not open a tunnel: the certificate is wanted again.
  const cookie = await fetchCookie(lab, server, { args: pki.args('alice') });
  const client = ['openconnect', '-v', '--protocol=anyconnect', '--non-inter', '--cookie-on-stdin'];
  const naked = await lab
    .client()
    .run([...client, ...server.pins.map((pin) => `--servercert=${pin}`), `https://${outside.server4}/`], {
      input: `${cookie}\n`,
    });
  expect(`${naked.stdout}${naked.stderr}`).toContain('VPN service unavailable');
  await connect(lab, server, { cookie, args: pki.args('alice') });
});

test('cisco-client-compat: the certificate once is enough', async () => {
  const { lab, pki, server } = await start((_, made) => ({
    options: { auth: ['certificate', plain(made)], 'cisco-client-compat': true },
  }));
  pki.issue('alice');
  const cookie = await fetchCookie(lab, server, { args: pki.args('alice') });
  await connect(lab, server, { cookie });
});

test('a password or a certificate: either is enough, and a bad certificate counts as none', async () => {
  const { pki, server, logIn } = await start((made, lab) => {
    made.issue('revoked', { subject: '/UID=alice' });
    made.revoke('revoked');
    return { options: { auth: [plain(lab)], 'enable-auth': ['certificate'], crl: made.path('crl.der') } };
  });
  pki.issue('cora');
  expect((await logIn('')).code).toBe(0);
  expect((await logIn('', { password: 'wrong' })).code).not.toBe(0);
  expect((await logIn('cora', { password: 'wrong' })).code).toBe(0);
  expect(server.process.output).toMatch(/"user":"cora".*user logged in/);
  expect((await logIn('revoked')).code).toBe(0);
  expect((await logIn('revoked', { password: 'wrong' })).code).not.toBe(0);
});

test('groups of the certificate: the only one is taken, of several one is to be selected', async () => {
  const { lab, pki, server, logIn } = await start(() => ({
    options: {
      auth: ['certificate'],
      'cert-group-oid': '2.5.4.11',
      'select-group': ['staff', 'tech[Engineers]'],
      'select-group-by-url': true,
    },
  }));
  pki.issue('one', { subject: '/UID=one/OU=staff' });
  pki.issue('hidden', { subject: '/UID=hidden/OU=unlisted/OU=tech' });
  pki.issue('two', { subject: '/UID=two/OU=staff/OU=tech' });
  const groupOf = async (name: string, args: readonly string[] = []) => {
    const client = await connect(lab, server, { args: [...pki.args(name), ...args] });
    const group = (await server.users()).find((user) => user.name === name)?.group;
    await client.process.stop('SIGINT');
    return group;
  };
  expect(await groupOf('one')).toBe('staff');
  expect(await groupOf('hidden')).toBe('tech');
  expect(await groupOf('two', ['--authgroup=Engineers'])).toBe('tech');
  expect((await logIn('two')).said).toContain('Please select your group.');
  expect((await logIn('two', { path: 'staff' })).code).toBe(0);
  expect((await logIn('one', { path: 'tech' })).code).not.toBe(0);
});

test('virtual hosts: each has its own methods and its own place of the name', async () => {
  const { pki, server, logIn } = await start((_, lab) => {
    const byCertificate = (oid: string): ServerOptions => ({ auth: ['certificate'], 'cert-user-oid': oid });
    return {
      options: { auth: [plain(lab)] },
      vhosts: {
        'mail.example.com': byCertificate('SAN(rfc822name)'),
        'upn.example.com': byCertificate('SAN(upn)'),
        'dn.example.com': byCertificate('1.2.840.113549.1.9.1'),
        'cn.example.com': byCertificate('2.5.4.3'),
      },
    };
  });
  pki.issue('all', {
    subject: '/CN=Älice/emailAddress=dn@corp.example',
    names: 'email:mail@corp.example,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:upn@corp.example',
  });
  const names = { mail: 'mail@corp.example', upn: 'upn@corp.example', dn: 'dn@corp.example', cn: 'Älice' };
  for (const [host, user] of Object.entries(names)) {
    expect([host, (await logIn('all', { name: `${host}.example.com` })).code]).toEqual([host, 0]);
    expect(server.process.output).toContain(`"user":"${user}"`);
    expect((await logIn('', { name: `${host}.example.com` })).code).not.toBe(0);
  }
  expect((await logIn('')).code).toBe(0);
  expect((await logIn('all', { password: 'wrong' })).code).not.toBe(0);
});
