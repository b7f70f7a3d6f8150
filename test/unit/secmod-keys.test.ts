/** server-cert and server-key: what is taken and what is refused. */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import { certificatePin } from '../../src/core/pki/pin.js';
import { datesProblem, loadKeys } from '../../src/core/secmod/keys.js';
import { makeKeyPair } from '../support/secmod-lab.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-keys-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function load(certs: string[], keys: string[], more: object = {}) {
  const document = {
    auth: ['plain[passwd=/x]'],
    'ipv4-network': '10.0.0.0/24',
    'server-cert': ['c'],
    'server-key': ['k'],
    ...more,
  };
  const { default: vhost } = buildConfig(document, {}, null);
  return loadKeys({ ...vhost, 'server-cert': certs, 'server-key': keys });
}

test('RSA, EC and Ed25519 keys are loaded in order', () => {
  const pairs = (['rsa', 'P-256', 'P-384', 'ed25519'] as const).map((type) => makeKeyPair(directory, type));
  const keys = load(
    pairs.map(([cert]) => cert),
    pairs.map(([, key]) => key),
  );
  expect(keys.map(({ privateKey }) => privateKey.asymmetricKeyType)).toEqual(['rsa', 'ec', 'ec', 'ed25519']);
  expect(keys.map(({ chain }) => certificatePin(chain))).toHaveLength(4);
});

test('an encrypted key is opened by key-pin or pin-file, and by nothing else', () => {
  const [cert, key] = makeKeyPair(directory, 'P-256');
  const secret = join(directory, 'secret.key');
  const pem = createPrivateKey(readFileSync(key)).export({
    format: 'pem',
    type: 'pkcs8',
    cipher: 'aes-256-cbc',
    passphrase: 'op3n',
  });
  writeFileSync(secret, pem);
  const file = join(directory, 'pin');
  writeFileSync(file, 'op3n\n');
  expect(load([cert], [secret], { 'key-pin': 'op3n' })).toHaveLength(1);
  expect(load([cert], [secret], { 'pin-file': file })).toHaveLength(1);
  expect(load([cert], [key], { 'pin-file': file })).toHaveLength(1);
  for (const wrong of [{}, { 'key-pin': 'other' }, { 'pin-file': key }])
    expect(() => load([cert], [secret], wrong)).toThrowError(expect.objectContaining({ code: 'OCS_FILE' }));
});

test('a key of another certificate, a different count and a missing file are refused', () => {
  const [rsaCert, rsaKey] = makeKeyPair(directory, 'rsa');
  const [, ecKey] = makeKeyPair(directory, 'P-256');
  expect(() => load([rsaCert], [ecKey])).toThrowError(expect.objectContaining({ code: 'OCS_KEY_MISMATCH' }));
  expect(() => load([rsaCert, rsaCert], [rsaKey])).toThrowError(
    expect.objectContaining({ code: 'OCS_KEY_COUNT' }),
  );
  expect(() => load([], [])).toThrowError(expect.objectContaining({ code: 'OCS_KEY_COUNT' }));
  expect(() => load([rsaCert], [join(directory, 'none')])).toThrowError(
    expect.objectContaining({ code: 'OCS_FILE' }),
  );
  expect(() => load([rsaKey], [rsaKey])).toThrowError(expect.objectContaining({ code: 'OCS_FILE' }));
});

test('keys that TLS cannot use here are refused with their type', () => {
  const [cert] = makeKeyPair(directory, 'rsa');
  const weak = [
    [generateKeyPairSync('rsa', { modulusLength: 1024 }), 'RSA with 1024 bits'],
    [generateKeyPairSync('ec', { namedCurve: 'secp256k1' }), 'EC on secp256k1'],
    [generateKeyPairSync('rsa-pss', { modulusLength: 2048 }), 'rsa-pss'],
  ] as const;
  for (const [{ privateKey }, type] of weak) {
    const path = join(directory, 'weak.key');
    writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    expect(() => load([cert], [path])).toThrowError(
      expect.objectContaining({ code: 'OCS_KEY_TYPE', details: { key: path, type } }),
    );
  }
});

test('a certificate is good between its dates only', () => {
  const [cert, key] = makeKeyPair(directory, 'P-256');
  const [loaded] = load([cert], [key]);
  const { validFromDate, validToDate } = new X509Certificate(readFileSync(cert));
  const at = (date: Date, ms: number) => loaded && datesProblem(loaded, date.getTime() + ms);
  const day = (date: Date) => date.toISOString().slice(0, 10);
  expect([at(validFromDate, 0), at(validToDate, 0)]).toEqual([null, null]);
  expect(at(validFromDate, -1)).toBe(`its validity begins on ${day(validFromDate)}`);
  expect(at(validToDate, 1)).toBe(`its validity ended on ${day(validToDate)}`);
});
