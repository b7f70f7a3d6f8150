/** What `vpn cert` makes, read by openssl and GnuTLS's certtool. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  describeFile,
  type MakeOptions,
  makeCa,
  makeClient,
  makeCrl,
  makePkcs12,
  makeServer,
} from '../../src/core/pki/authority.js';
import { KEY_TYPES } from '../../src/core/pki/key-pair.js';

const root = mkdtempSync(join(tmpdir(), 'ocvpn-cert-'));
const folder = join(root, 'pki');
const at = (name: string) => join(folder, name);
const options: MakeOptions = { folder, keyType: 'ec', days: 30, force: false };
const nobody = { groups: [], email: '', upn: '' };
/** Throws when the program is not content. */
const run = (...command: [string, ...string[]]) =>
  execFileSync(command[0], command.slice(1), { stdio: 'pipe', cwd: root }).toString();
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

beforeAll(async () => {
  await makeCa('Test CA', options);
});
afterAll(() => rmSync(root, { recursive: true }));

/** Both libraries accept it below the CA for this purpose. */
function verify(path: string, purpose: 'sslclient' | 'sslserver', gnutls: string): void {
  expect(
    run('openssl', 'verify', '-x509_strict', '-purpose', purpose, '-CAfile', at('ca.crt'), path),
  ).toMatch(/: OK/);
  const verdict = run(
    'certtool',
    '--verify',
    '--load-ca-certificate',
    at('ca.crt'),
    '--infile',
    path,
    '--verify-purpose',
    gnutls,
  );
  expect(verdict).toMatch(/The certificate is trusted/);
}

describe.each(KEY_TYPES)('with a key of type %s', (keyType) => {
  test('a server certificate', async () => {
    const names = [`${keyType}.example.com`, 'other.example.com', '192.0.2.1', '2001:db8::1'];
    const { files, certificate } = await makeServer(names, { ...options, keyType });
    verify(files[0] ?? '', 'sslserver', '1.3.6.1.5.5.7.3.1');
    expect(() => verify(files[0] ?? '', 'sslclient', '1.3.6.1.5.5.7.3.2')).toThrow();
    for (const [check, name] of [
      ['-checkhost', 'other.example.com'],
      ['-checkip', '2001:db8::1'],
    ] as const)
      expect(run('openssl', 'x509', '-in', files[0] ?? '', '-noout', check, name)).toContain('does match');
    expect(certificate).toMatchObject({ isCa: false, purposes: ['1.3.6.1.5.5.7.3.1'] });
    expect(mode(files[1] ?? '')).toBe('600');
  });

  test('a client certificate', async () => {
    const names = {
      userName: `u-${keyType}`,
      groups: ['staff', 'tech'],
      email: 'u@example.com',
      upn: 'u@corp',
    };
    const { files } = await makeClient(names, { ...options, keyType });
    verify(files[0] ?? '', 'sslclient', '1.3.6.1.5.5.7.3.2');
    const text = run(
      'openssl',
      'x509',
      '-in',
      files[0] ?? '',
      '-noout',
      '-subject',
      '-ext',
      'subjectAltName',
    );
    expect(text).toContain(`CN = u-${keyType}, OU = staff, OU = tech, UID = u-${keyType}`);
    expect(text).toMatch(/email:u@example.com, othername: UPN::u@corp/);
  });

  test('an authority', async () => {
    const own = { ...options, keyType, folder: join(root, keyType) };
    const { files, certificate } = await makeCa(undefined, own);
    expect(certificate).toMatchObject({
      isCa: true,
      subject: expect.stringMatching(/^CN=ocvpn CA [0-9a-f]{8}$/),
    });
    await makeClient({ userName: 'x', ...nobody }, { ...own, keyType: 'ec' });
    run('openssl', 'verify', '-x509_strict', '-CAfile', files[0] ?? '', join(own.folder, 'clients/x.crt'));
    await makeCrl({ folder: own.folder, days: 1, revoke: ['x'], reason: 'superseded' });
    run('openssl', 'crl', '-in', join(own.folder, 'crl.pem'), '-CAfile', files[0] ?? '', '-noout');
  });
});

test('a revocation list keeps what it has, and both libraries read it', async () => {
  for (const userName of ['first', 'second']) await makeClient({ userName, ...nobody }, options);
  const crl = { folder, days: 7, reason: 'keyCompromise' } as const;
  const before = await makeCrl({ ...crl, revoke: ['first'], nowMs: Date.now() - 60_000 });
  const after = await makeCrl({ ...crl, revoke: ['first', at('clients/second.crt')], reason: 'superseded' });
  expect(after.crl).toMatchObject({ number: 2, revoked: [before.crl.revoked[0], { reason: 'superseded' }] });
  expect((await makeCrl({ ...crl, revoke: [] })).crl).toMatchObject({
    number: 3,
    revoked: after.crl.revoked,
  });
  expect(describeFile(at('crl.pem'))).toMatchObject({ issuer: 'CN=Test CA', number: 3 });

  const check = (user: string) =>
    run(
      'openssl',
      'verify',
      '-crl_check',
      '-CAfile',
      at('ca.crt'),
      '-CRLfile',
      at('crl.pem'),
      at(`clients/${user}.crt`),
    );
  await makeClient({ userName: 'third', ...nobody }, options);
  expect(check('third')).toMatch(/: OK/);
  expect(() => check('first')).toThrow(/certificate revoked/);
  expect(run('certtool', '--crl-info', '--infile', at('crl.pem'))).toMatch(/Revoked certificates \(2\)/);
  expect(
    run('certtool', '--verify-crl', '--load-ca-certificate', at('ca.crt'), '--infile', at('crl.pem')),
  ).toMatch(/verified/i);
});

test.each([false, true])(
  'PKCS #12, legacy %s: openssl and certtool open it with its password only',
  async (legacy) => {
    const userName = `phone ${legacy}`;
    await makeClient({ userName, ...nobody }, options);
    const request = { folder, userName, legacy, force: false };
    const [path = ''] = makePkcs12({ ...request, password: 'pass word' }).files;
    const info = (password: string) =>
      run(
        'openssl',
        'pkcs12',
        '-in',
        path,
        '-passin',
        `pass:${password}`,
        '-nodes',
        ...(legacy ? ['-legacy'] : []),
      );
    expect(info('pass word')).toMatch(/friendlyName: phone[\s\S]*CN = Test CA[\s\S]*BEGIN PRIVATE KEY/);
    expect(() => info('wrong')).toThrow(/Mac verify error/);
    expect(run('certtool', '--p12-info', '--inder', '--infile', path, '--password', 'pass word')).toMatch(
      /BEGIN CERTIFICATE/,
    );
    expect(mode(path)).toBe('600');
    expect(() => makePkcs12({ ...request, password: 'x' })).toThrow(/is there already/);
    expect(() => makePkcs12({ ...request, password: '' })).toThrow(/password is empty/);
  },
);

test('nothing is overwritten without force, neither half of a pair', async () => {
  const before = readFileSync(at('ca.crt'));
  await expect(makeCa('Other', options)).rejects.toThrow(/ca\.crt is there already/);
  expect(readFileSync(at('ca.crt'))).toEqual(before);
  const half = { ...options, folder: join(root, 'half') };
  await makeCa('Half', half);
  rmSync(join(half.folder, 'ca.crt'));
  await expect(makeCa('Half', half)).rejects.toThrow(/ca\.key is there already/);
  expect(existsSync(join(half.folder, 'ca.crt'))).toBe(false);
  await makeCa('Half', { ...half, force: true });
  expect(describeFile(join(half.folder, 'ca.crt'))).toMatchObject({ subject: 'CN=Half' });
});

test('nothing outlives its authority', async () => {
  const short = { ...options, folder: join(root, 'short'), days: 2 };
  const ca = await makeCa('Short', short);
  const { certificate } = await makeClient({ userName: 'long', ...nobody }, { ...short, days: 900 });
  expect(certificate.notAfter).toBe(ca.certificate.notAfter);
  const later = { ...short, nowMs: Date.now() + 3 * 86_400_000 };
  await expect(makeClient({ userName: 'late', ...nobody }, later)).rejects.toThrow(/it ended on/);
});

test.each(['', 'x'.repeat(65), 'line\nbreak'])('the user name %j is refused', async (userName) => {
  await expect(makeClient({ userName, ...nobody }, options)).rejects.toThrow(/must have 1 to 64 bytes/);
});

test('a user name is no path', async () => {
  const { files } = await makeClient({ userName: '../../escape', ...nobody }, options);
  expect(files[0]).toBe(at('clients/..%2F..%2Fescape.crt'));
});

test('mistakes are told in sentences', async () => {
  await expect(makeClient({ userName: 'x', ...nobody }, { ...options, folder: root })).rejects.toThrow(
    /no certificate authority in/,
  );
  const crl = { folder, days: 1, reason: 'unspecified' } as const;
  await expect(makeCrl({ ...crl, revoke: ['nobody-here'] })).rejects.toThrow(/nobody-here cannot be used/);
  const other = { ...options, folder: join(root, 'other') };
  await makeCa('Other CA', other);
  const [foreign = ''] = (await makeClient({ userName: 'foreign', ...nobody }, other)).files;
  await expect(makeCrl({ ...crl, revoke: [foreign] })).rejects.toThrow(
    /issued by CN=Other CA, not by CN=Test CA/,
  );
  await makeCrl({ ...crl, folder: other.folder, revoke: [] });
  writeFileSync(at('crl.pem'), readFileSync(join(other.folder, 'crl.pem')));
  await expect(makeCrl({ ...crl, revoke: [] })).rejects.toThrow(/not issued by this CA/);
  writeFileSync(join(root, 'nothing.pem'), 'hello');
  expect(() => describeFile(join(root, 'nothing.pem'))).toThrow(
    /neither a certificate nor a revocation list/,
  );
});
