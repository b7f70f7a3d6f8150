/** Signatures for handshakes: right ones verify, anything that is no handshake message is refused. */
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  verify,
  X509Certificate,
} from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuthBackendPlugin } from '../../src/core/plugin-api/index.js';
import { RETIRED_KEY_MS } from '../../src/core/secmod/retired-keys.js';
import { handshakeForm, signatureRefusal, signHandshake } from '../../src/core/secmod/signing.js';
import { makeKeyPair, SecmodLab } from '../support/secmod-lab.js';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
const ed25519 = generateKeyPairSync('ed25519').privateKey;

/** RFC 8446 section 4.4.3, written down again, not taken from the code. */
const certificateVerify = (hashBytes = 32, context = 'TLS 1.3, server CertificateVerify') =>
  Buffer.concat([Buffer.alloc(64, ' '), Buffer.from(context), Buffer.alloc(1), randomBytes(hashBytes)]);

/** RFC 8422 section 5.4: named_curve, the curve, the length, the point; behind the two randoms. */
const keyExchange = (curve = 0x001d, pointBytes = 32, length = pointBytes) =>
  Buffer.concat([
    randomBytes(64),
    Buffer.from([3, curve >> 8, curve & 0xff, length]),
    randomBytes(pointBytes),
  ]);

/** `certificate` of SEC_SIGN_DATA. */
const digestOf = (pem: Buffer): Buffer => createHash('sha256').update(new X509Certificate(pem).raw).digest();

const verifies = (key: KeyObject, digest: string | null, data: Buffer, signature: Buffer, pss = false) => {
  const padding = pss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : {};
  return verify(digest, data, { key: createPublicKey(key), ...padding }, signature);
};

describe('the schemes of TLS', () => {
  test.each([
    [0x0401, rsa, 'sha256', false, keyExchange()],
    [0x0501, rsa, 'sha384', false, keyExchange(0x0017, 65)],
    [0x0601, rsa, 'sha512', false, keyExchange(0x0018, 97)],
    [0x0804, rsa, 'sha256', true, certificateVerify()],
    [0x0805, rsa, 'sha384', true, certificateVerify(48)],
    [0x0806, rsa, 'sha512', true, keyExchange()],
    [0x0403, p256, 'sha256', false, certificateVerify()],
    [0x0503, p384, 'sha384', false, certificateVerify(48)],
    [0x0503, p256, 'sha384', false, keyExchange()],
    [0x0807, ed25519, null, false, certificateVerify()],
    [0x0807, ed25519, null, false, keyExchange(0x0019, 133)],
  ] as const)('0x%s makes a signature that verifies', async (scheme, key, digest, pss, data) => {
    expect(signatureRefusal(key, scheme, data)).toBeNull();
    const signature = await signHandshake(key, scheme, data);
    expect(verifies(key, digest, data, signature, pss)).toBe(true);
    expect(verifies(key, digest, randomBytes(data.length), signature, pss)).toBe(false);
  });

  test('the salt of PSS is as long as the hash', async () => {
    const data = certificateVerify();
    const signature = await signHandshake(rsa, 0x0804, data);
    const exact = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    expect(verify('sha256', data, { key: createPublicKey(rsa), ...exact }, signature)).toBe(true);
  });

  test.each([
    ['RSA scheme, EC key', 0x0804, p256, certificateVerify()],
    ['EC scheme, RSA key', 0x0403, rsa, certificateVerify()],
    ['Ed25519 scheme, EC key', 0x0807, p256, certificateVerify()],
    ['P-384 scheme, P-256 key, TLS 1.3', 0x0503, p256, certificateVerify()],
    ['PKCS #1 in TLS 1.3', 0x0401, rsa, certificateVerify()],
    ['SHA-1', 0x0201, rsa, keyExchange()],
    ['rsa_pss_pss', 0x0809, rsa, certificateVerify()],
    ['no scheme', 0, rsa, certificateVerify()],
  ] as const)('%s is refused', (_, scheme, key, data) => {
    expect(signatureRefusal(key, scheme, data)).toMatch(/scheme|PKCS/);
  });
});

describe('data that no server signs', () => {
  const good = certificateVerify();
  const changed = (at: number) => Buffer.from(good.map((byte, index) => (index === at ? byte ^ 1 : byte)));
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a text', Buffer.from('I owe you 100')],
    ['a client CertificateVerify', certificateVerify(32, 'TLS 1.3, client CertificateVerify')],
    ['a hash that is too short', good.subarray(0, -1)],
    ['a hash that is too long', Buffer.concat([good, Buffer.alloc(1)])],
    ['a blank that is none', changed(0)],
    ['another context', changed(70)],
    ['another separator', changed(97)],
    ['64 bytes', randomBytes(64)],
    ['randoms and half a header', randomBytes(67)],
    ['a point that is too short', keyExchange(0x001d, 31, 32)],
    ['a length that does not fit the curve', keyExchange(0x001d, 33)],
    ['bytes behind the point', Buffer.concat([keyExchange(), Buffer.alloc(1)])],
    ['a length that says more than there is', keyExchange(0x0017, 65, 66)],
    ['an unknown curve', keyExchange(0x0016, 65)],
    [
      'explicit curve parameters',
      Buffer.concat([randomBytes(64), Buffer.from([1, 0, 0x1d, 32]), randomBytes(32)]),
    ],
    [
      'DHE parameters',
      Buffer.concat([
        randomBytes(64),
        Buffer.from([1, 0]),
        randomBytes(256),
        Buffer.from([0, 1, 2, 1, 0]),
        randomBytes(256),
      ]),
    ],
  ])('%s', (_, data) => {
    expect(handshakeForm(data)).toBeNull();
    expect(signatureRefusal(rsa, 0x0804, data)).toContain('no handshake message');
  });

  test('the two forms are told apart', () => {
    expect(handshakeForm(certificateVerify(48))).toBe('CertificateVerify');
    expect(handshakeForm(keyExchange(0x001e, 56))).toBe('ServerKeyExchange');
  });
});

describe('a worker', () => {
  const plugin: AuthBackendPlugin = {
    manifest: { name: 'none', options: {}, maxTries: 3 },
    create: async () => ({ begin: () => Promise.reject(new Error('unused')) as never }),
  };
  let lab: SecmodLab | undefined;
  afterEach(() => lab?.stop());

  test('gets the chain and signatures for its handshakes, and nothing else', async () => {
    lab = await SecmodLab.start({ plugin, auth: 'none' });
    const worker = lab.connectWorker();
    const { chains } = (await worker.call('SEC_GET_PK', { vhost: 'default' })).body;
    const certificate = Buffer.from(chains[0] ?? []);
    expect(certificate).toEqual(readFileSync(`${lab.directory}/server.crt`));
    const data = certificateVerify();
    const ask = { vhost: 'default', certificate: digestOf(certificate), scheme: 0x0403, data };
    const { signature } = (await worker.call('SEC_SIGN_DATA', ask)).body;
    expect(verify('sha256', data, createPublicKey(certificate), signature ?? Buffer.alloc(0))).toBe(true);
    for (const wrong of [
      { data: randomBytes(100) },
      { certificate: randomBytes(32) },
      { vhost: 'other' },
      { scheme: 0x0804 },
    ]) {
      expect((await worker.call('SEC_SIGN_DATA', { ...ask, ...wrong })).body.signature).toBeNull();
    }
    expect(lab.logged.filter((line) => line.includes('signature refused'))).toHaveLength(4);
    expect((await worker.call('SEC_GET_PK', { vhost: 'other' })).body.chains).toEqual([]);
  });

  test('that has shown a certificate gets its signature although a reload has replaced it, for a minute', async () => {
    lab = await SecmodLab.start({ plugin, auth: 'none' });
    const worker = lab.connectWorker();
    const shown = readFileSync(`${lab.directory}/server.crt`);
    const [certPath, keyPath] = makeKeyPair(lab.directory, 'P-256');
    copyFileSync(certPath, `${lab.directory}/server.crt`);
    copyFileSync(keyPath, `${lab.directory}/server.key`);
    expect((await lab.main.call('SECM_RELOAD', { keysOnly: true })).body.ok).toBe(true);

    const data = certificateVerify();
    const signed = async (certificate: Buffer): Promise<boolean> => {
      const ask = { vhost: 'default', certificate: digestOf(certificate), scheme: 0x0403, data };
      const { signature } = (await worker.call('SEC_SIGN_DATA', ask)).body;
      return signature !== null && verify('sha256', data, createPublicKey(certificate), signature);
    };
    const current = readFileSync(certPath);
    lab.nowMs += RETIRED_KEY_MS - 1;
    await lab.secmod.expire();
    expect([await signed(shown), await signed(current)]).toEqual([true, true]);
    lab.nowMs += 1;
    await lab.secmod.expire();
    expect([await signed(shown), await signed(current)]).toEqual([false, true]);
  });
});
