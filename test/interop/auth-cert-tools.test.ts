/** What `vpn cert` makes, in use; what is stapled; and that no secret of a login is in a log. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Lab, openLab, outside } from '../support/lab.ts';
import { authenticate, connect, fetchCookie } from '../support/openconnect.ts';
import { writeCertificate } from '../support/pki.ts';
import { startServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const UID = '0.9.2342.19200300.100.1.1';

/** `vpn cert …` on an authority in the lab's folder. */
function vpnCert(lab: Lab, words: readonly string[], input = ''): string {
  const command = [launcher, 'cert', ...words, '--dir', `${lab.folder}/pki`];
  return execFileSync(process.execPath, command, { input, stdio: 'pipe' }).toString();
}

test('certificates, lists and PKCS #12 files of vpn cert', async () => {
  const lab = await openLab();
  vpnCert(lab, ['ca']);
  vpnCert(lab, ['client', 'alice', '--group', 'staff']);
  vpnCert(lab, ['client', 'phil', '--key-type', 'rsa']);
  vpnCert(lab, ['p12', 'phil', '--password-stdin'], 'pocket\n');
  vpnCert(lab, ['crl']);
  const pki = (name: string) => `${lab.folder}/pki/${name}`;
  const options = {
    auth: ['certificate'],
    'ca-cert': pki('ca.crt'),
    crl: pki('crl.pem'),
    'cert-user-oid': UID,
    'cert-group-oid': '2.5.4.11',
  };
  const server = await startServer(lab, 'ocvpn', { options });
  const alice = [`--certificate=${pki('clients/alice.crt')}`, `--sslkey=${pki('clients/alice.key')}`];
  const phil = [`--certificate=${pki('clients/phil.p12')}`, '--key-password=pocket'];
  await connect(lab, server, { args: alice });
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'alice', group: 'staff' })]);
  const codeOf = async (args: readonly string[]) => (await authenticate(lab, server, { args })).code;
  expect(await codeOf(phil)).toBe(0);
  const revoked = JSON.parse(vpnCert(lab, ['crl', 'phil', '--reason', 'keyCompromise', '--json'])) as object;
  expect(revoked).toMatchObject({ crl: { revoked: [{ reason: 'keyCompromise' }] } });
  await until('the list to count', async () => (await codeOf(phil)) !== 0);
  expect(await codeOf(alice)).toBe(0);
});

test('the OCSP response is stapled', async () => {
  const lab = await openLab();
  const { certificate, key } = await writeCertificate(lab.folder, 'rsa');
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: lab.folder, stdio: 'pipe' }).toString();
  const serial = openssl('x509', '-in', certificate, '-noout', '-serial').trim().replace('serial=', '');
  writeFileSync(join(lab.folder, 'index.txt'), `V\t400101000000Z\t\t${serial}\tunknown\t/CN=vpn\n`);
  openssl('ocsp', '-issuer', certificate, '-cert', certificate, '-reqout', 'request', '-no_nonce');
  const signer = ['-index', 'index.txt', '-rsigner', certificate, '-rkey', key, '-CA', certificate];
  openssl('ocsp', ...signer, '-reqin', 'request', '-respout', 'response', '-ndays', '1');
  await startServer(lab, 'ocvpn', { options: { 'ocsp-response': join(lab.folder, 'response') } });
  const asked = ['openssl', 's_client', '-connect', `${outside.server4}:443`, '-status'];
  const { stdout } = await lab.client().run(asked, { input: '' });
  expect(stdout).toMatch(/OCSP Response Status: successful[\s\S]*Cert Status: good/);
});

test('no password, cookie or key is in the log at its most talkative', async () => {
  const lab = await openLab();
  vpnCert(lab, ['ca']);
  vpnCert(lab, ['client', 'alice']);
  const pki = (name: string) => `${lab.folder}/pki/${name}`;
  const options = {
    auth: ['certificate', `plain[passwd=${lab.folder}/ocpasswd]`],
    'ca-cert': pki('ca.crt'),
    'cert-user-oid': UID,
    'log-level': 9,
  };
  const users = [{ name: 'alice', password: 'Quite-Unusual-7' }];
  const server = await startServer(lab, 'ocvpn', { options, users });
  const args = [`--certificate=${pki('clients/alice.crt')}`, `--sslkey=${pki('clients/alice.key')}`];
  expect((await authenticate(lab, server, { args, password: 'Wrong-But-Near-7' })).code).not.toBe(0);
  const printed = await fetchCookie(lab, server, { args, password: 'Quite-Unusual-7' });
  await connect(lab, server, { args, cookie: printed });
  const log = server.process.output;
  expect(log).toMatch(/"level":(10|20)/);
  const cookie = Buffer.from(/webvpn=([^;\s]+)/.exec(printed)?.[1] ?? printed, 'base64');
  expect(cookie.length).toBe(32);
  const secrets = ['Quite-Unusual-7', 'Wrong-But-Near-7', '$5$', 'PRIVATE KEY'];
  const encodings = (['base64', 'base64url', 'hex'] as const).map((form) => cookie.toString(form));
  for (const secret of [...secrets, ...encodings, encodings[2]?.toUpperCase() ?? '', cookie.join(',')])
    expect(log).not.toContain(secret);
});
