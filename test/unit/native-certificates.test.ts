/** What the addon says of client certificates, and the OCSP response that it staples. */
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClientPki } from '../support/client-pki.js';
import { contextOptions, echo, native, RemoteSigner, TestPki, TestServer } from './native-tls.support.js';

const pki = new TestPki();
let made: ClientPki;
const read = (name: string) => readFileSync(made.path(name));
const derOf = (name: string) =>
  Buffer.from(made.read(`${name}.crt`).replaceAll(/-----[^-]+-----|\n/g, ''), 'base64');

beforeAll(() => {
  made = new ClientPki(pki.directory);
  made.authority('stranger');
  made.issue('good');
  made.issue('revoked');
  made.issue('both', { purpose: 'clientAuth,serverAuth' });
  made.issue('expired', { expired: true });
  made.issue('foreign', { by: 'stranger' });
  made.issue('self', { by: 'self' });
  made.issue('server', { purpose: 'serverAuth' });
  made.issue('any', { purpose: 'anyExtendedKeyUsage' });
  made.issue('mail', { purpose: 'emailProtection,1.2.3.4' });
  made.openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:1024',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=weak',
    '-CA',
    'ca.crt',
    '-CAkey',
    'ca.key',
    '-keyout',
    'weak.key',
    '-out',
    'weak.crt',
  );
  made.revoke('revoked');
});
afterAll(() => pki.remove());

describe.each(['crl.pem', 'crl.der', null])('with the list %s', (list) => {
  const verify = (...names: string[]) => {
    const crl = list === null ? {} : { crl: read(list) };
    return native.createCertificateVerifier({ ca: read('ca.crt'), ...crl }).verify(names.map(derOf));
  };

  test.each([
    ['good', /^$/],
    ['both', /^$/],
    ['expired', /has expired/],
    ['foreign', /unable to get local issuer/],
    ['self', /self-signed/],
    ['server', /unsuitable|purpose/],
    ['any', /^$/],
    ['mail', /unsuitable|purpose/],
    ['weak', /key too weak/],
  ])('%s', (name, verdict) => expect(verify(name)).toMatch(verdict));

  test('a revoked one is refused if the list says so', () => {
    expect(verify('revoked')).toMatch(list === null ? /^$/ : /certificate revoked/);
  });

  test('what comes with the leaf is not trusted', () => expect(verify('foreign', 'stranger')).not.toBe(''));
});

test('a list of another authority revokes nothing, several lists in one file count', () => {
  const ca = Buffer.concat([read('ca.crt'), read('stranger.crt')]);
  const only = native.createCertificateVerifier({ ca, crl: read('crl.pem') });
  expect(only.verify([derOf('foreign')])).toBe('');
  expect(only.verify([derOf('revoked')])).toMatch(/revoked/);
});

test('an outdated list refuses everything of its authority', () => {
  made.openssl(
    'ca',
    '-config',
    'ca.conf',
    '-gencrl',
    '-md',
    'sha256',
    '-crl_lastupdate',
    '200101000000Z',
    '-crl_nextupdate',
    '200201000000Z',
    '-keyfile',
    'ca.key',
    '-cert',
    'ca.crt',
    '-out',
    'old.pem',
  );
  const verifier = native.createCertificateVerifier({ ca: read('ca.crt'), crl: read('old.pem') });
  expect(verifier.verify([derOf('good')])).toMatch(/CRL has expired/);
});

test('what is no certificate is told, never a crash', () => {
  const verifier = native.createCertificateVerifier({ ca: read('ca.crt') });
  expect(verifier.verify([])).toBe('no certificate');
  expect(verifier.verify([Buffer.from('hello')])).toMatch(/not a certificate/);
  expect(verifier.verify([Buffer.concat([derOf('good'), Buffer.from('x')])])).toMatch(/not a certificate/);
  expect(verifier.verify([derOf('good'), Buffer.alloc(0)])).toMatch(/not a certificate/);
  expect(() => verifier.verify([1] as never)).toThrow(/chain\[\]/);
  expect(() => verifier.verify(Array.from({ length: 17 }, () => derOf('good')))).toThrow(/at most 16/);
  expect(() => native.createCertificateVerifier({ ca: Buffer.from('x') })).toThrow(/CA bundle/);
  expect(() => native.createCertificateVerifier({ ca: read('ca.crt'), crl: read('ca.crt') })).toThrow(
    /revocation list/,
  );
  expect(() => native.createCertificateVerifier({ ca: read('ca.crt'), crl: Buffer.from([1, 2]) })).toThrow(
    /revocation/,
  );
});

describe('an OCSP response', () => {
  let signer: RemoteSigner;
  beforeAll(() => {
    for (const name of ['stapled', 'other']) pki.issue(name, 'ec');
    signer = new RemoteSigner([pki.path('stapled.key')]);
  });
  afterAll(() => signer.close());

  /** A response of the authority about a certificate, valid for a day. */
  function response(name: string): Buffer {
    const openssl = (...args: string[]) =>
      execFileSync('openssl', args, { cwd: pki.directory, stdio: 'pipe' });
    const serial = openssl('x509', '-in', `${name}.leaf`, '-noout', '-serial')
      .toString()
      .trim()
      .replace('serial=', '');
    writeFileSync(pki.path('ocsp.txt'), `V\t400101000000Z\t\t${serial}\tunknown\t/CN=${name}\n`);
    openssl('ocsp', '-issuer', 'ca.crt', '-cert', `${name}.leaf`, '-reqout', 'ocsp.req', '-no_nonce');
    openssl(
      'ocsp',
      '-index',
      'ocsp.txt',
      '-rsigner',
      'ca.crt',
      '-rkey',
      'ca.key',
      '-CA',
      'ca.crt',
      '-reqin',
      'ocsp.req',
      '-respout',
      'ocsp.der',
      '-ndays',
      '1',
    );
    return pki.read('ocsp.der');
  }

  async function staple(ocspResponse: Buffer, version: string): Promise<string> {
    const context = native.createTlsContext(contextOptions([pki.read('stapled.crt')], { ocspResponse }));
    const server = new TestServer(context, echo(signer));
    const { promise, resolve } = Promise.withResolvers<string>();
    const args = [
      's_client',
      '-connect',
      `127.0.0.1:${server.port}`,
      '-status',
      version,
      '-CAfile',
      pki.path('ca.crt'),
    ];
    execFile('openssl', args, { timeout: 20_000 }, (_error, stdout) => resolve(stdout)).stdin?.end();
    const text = await promise;
    await server.close();
    return text;
  }

  test.each(['-tls1_2', '-tls1_3'])('is stapled to its certificate, %s', async (version) => {
    const text = await staple(response('stapled'), version);
    expect(text).toMatch(/OCSP Response Status: successful[\s\S]*Cert Status: good/);
    expect(text).toContain('Verify return code: 0 (ok)');
  });

  test('is not stapled to another certificate', async () => {
    expect(await staple(response('other'), '-tls1_3')).toContain('OCSP response: no response sent');
  });

  test('is not stapled when it is out of date', async () => {
    const times = /20\d{12}Z/g;
    const outdated = Buffer.from(
      response('stapled').toString('latin1').replaceAll(times, '20200101000000Z'),
      'latin1',
    );
    expect(await staple(outdated, '-tls1_3')).toContain('OCSP response: no response sent');
  });

  test('that is none is refused at once', () => {
    const options = (ocspResponse: Buffer) => contextOptions([pki.read('stapled.crt')], { ocspResponse });
    expect(() => native.createTlsContext(options(Buffer.from('x')))).toThrow(/OCSP response/);
    // OCSPResponse with status tryLater (RFC 6960 section 4.2.1).
    expect(() => native.createTlsContext(options(Buffer.from([0x30, 3, 0x0a, 1, 3])))).toThrow(
      /reports a failure/,
    );
  });
});
