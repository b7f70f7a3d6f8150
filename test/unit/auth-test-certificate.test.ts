/** `vpn auth test` with a client certificate: real back ends, certificates of openssl. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import { loadAuthPlugins, pluginLists } from '../../src/core/secmod/plugins.js';
import { readCertificateFile } from '../../src/core/secmod/test-certificate.js';
import { testLogin } from '../../src/core/secmod/test-login.js';
import { ClientPki } from '../support/client-pki.js';

const directory = mkdtempSync(join(tmpdir(), 'ocvpn-auth-test-'));
let pki: ClientPki;

beforeAll(() => {
  pki = new ClientPki(directory);
  pki.issue('alice', { subject: '/CN=Alice/UID=alice/OU=staff' });
  pki.issue('bob');
  pki.issue('expired', { expired: true });
  pki.issue('nameless', { subject: '/CN=nameless' });
  pki.issue('revoked');
  pki.revoke('revoked');
  pki.openssl('x509', '-in', 'alice.crt', '-outform', 'DER', '-out', 'alice.der');
  const hash = execFileSync('openssl', ['passwd', '-6', 'secret']).toString().trim();
  writeFileSync(join(directory, 'ocpasswd'), `alice::${hash}\nbob::${hash}\n`);
});
afterAll(() => rmSync(directory, { recursive: true }));

const PLAIN = `plain[passwd=${join(directory, 'ocpasswd')}]`;

/** Steps as words, and the user and group of the session. */
async function attempt(
  methods: { auth: string[]; 'enable-auth'?: string[] },
  userName: string,
  certificate: string | null,
  answers: string[] = [],
) {
  const document = {
    'server-cert': ['c'],
    'server-key': ['k'],
    'ipv4-network': '10.0.0.0/24',
    'ca-cert': pki.path('ca.crt'),
    crl: pki.path('crl.pem'),
    'cert-user-oid': '0.9.2342.19200300.100.1.1',
    'cert-group-oid': '2.5.4.11',
    ...methods,
  };
  const { steps, session } = await testLogin({
    config: buildConfig(document, {}, null),
    plugins: (await loadAuthPlugins(...pluginLists(directory))).auth,
    userName,
    vhost: 'default',
    groupName: '',
    certificate: certificate === null ? null : readCertificateFile(pki.path(certificate), undefined),
    answer: async () => answers.shift() ?? '',
    log: pino({ level: 'silent' }),
  });
  const said = steps.map(({ step, message }) => [step, message].filter(Boolean).join(': '));
  return { said, who: session && `${session.userName}/${session.groupName}` };
}

const ALONE = { auth: ['certificate'] };
const BOTH = { auth: ['certificate', PLAIN] };
const EITHER = { auth: [PLAIN], 'enable-auth': ['certificate'] };

test.each([
  ['the certificate alone, PEM', ALONE, '', 'alice.crt', []],
  ['the certificate alone, DER', ALONE, 'alice', 'alice.der', []],
  ['either: the certificate is enough', EITHER, '', 'alice.crt', []],
])('%s', async (_, methods, user, file, answers) => {
  const { said, who } = await attempt(methods, user, file, answers);
  expect([said, who]).toEqual([['certificate: alice, staff', 'accepted'], 'alice/staff']);
});

test('the certificate and the password: both are asked for, and for the same user', async () => {
  const good = await attempt(BOTH, 'alice', 'alice.crt', ['secret']);
  expect([good.said, good.who]).toEqual([['certificate: alice, staff', 'prompt', 'accepted'], 'alice/staff']);
  expect((await attempt(BOTH, 'alice', 'alice.crt', ['wrong'])).who).toBeNull();
  const other = await attempt(BOTH, 'bob', 'alice.crt', ['secret']);
  expect([other.said.at(-1), other.who]).toEqual(['refused: the certificate is not that of bob', null]);
});

test.each([
  ['revoked.crt', /does not count: certificate revoked/],
  ['expired.crt', /does not count: .*expired/],
  ['nameless.crt', /does not count: it has no user name where cert-user-oid says/],
])('%s is refused, and it is said why', async (file, reason) => {
  const { said, who } = await attempt(ALONE, '', file);
  expect([said, who]).toEqual([[expect.stringMatching(reason)], null]);
});

test('what is missing is named', async () => {
  expect((await attempt(ALONE, 'alice', null)).said).toEqual([
    'refused: a client certificate is wanted: show one with --cert',
  ]);
  expect((await attempt(EITHER, 'alice', null, ['secret'])).who).toBe('alice/');
  expect((await attempt({ auth: [PLAIN] }, 'alice', 'alice.crt')).said).toEqual([
    expect.stringContaining('no method that takes certificates'),
  ]);
  await expect(attempt({ auth: [PLAIN] }, '', null)).rejects.toMatchObject({ code: 'OCS_NO_USER_NAME' });
});

test('the key must be that of the certificate, and files must hold what they are named for', () => {
  const [cert, key] = [pki.path('alice.crt'), pki.path('alice.key')];
  expect(readCertificateFile(cert, key)).toHaveLength(1);
  expect(() => readCertificateFile(cert, pki.path('bob.key'))).toThrow(/is not the key of/);
  for (const [one, other] of [
    [key, key],
    [cert, cert],
    ['/not-there', key],
  ])
    expect(() => readCertificateFile(one ?? '', other)).toThrow(
      expect.objectContaining({ code: 'OCS_CERT' }),
    );
});
