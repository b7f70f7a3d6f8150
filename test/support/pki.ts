/** Certificates for tests: a CA and server certificates below it, made once per process. */
import 'reflect-metadata';
import { createHash, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { outside } from './lab.ts';

export type KeyKind = 'rsa' | 'ecdsa';
type Keys = webcrypto.CryptoKeyPair;

export interface Certificate {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** For openconnect's --servercert. */
  readonly pin: string;
}

const HOUR_MS = 3_600_000;
const algorithms = {
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
  ecdsa: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
};
const made = new Map<KeyKind, Promise<Certificate>>();

const newKeys = (kind: KeyKind): Promise<Keys> =>
  webcrypto.subtle.generateKey(algorithms[kind], true, ['sign', 'verify']) as Promise<Keys>;

function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - HOUR_MS), notAfter: new Date(now + 48 * HOUR_MS) };
}

/** The pin of a public key: base64 of the SHA-256 of its SubjectPublicKeyInfo. */
export function pinOf(publicKey: KeyObject): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return `pin-sha256:${createHash('sha256').update(spki).digest('base64')}`;
}

async function makeCertificate(kind: KeyKind): Promise<Certificate> {
  x509.cryptoProvider.set(webcrypto);
  const keys = await newKeys(kind);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: kind === 'rsa' ? '01' : '02',
    name: 'CN=vpn.example.com',
    ...validity(),
    signingAlgorithm: algorithms[kind],
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'vpn.example.com' },
        { type: 'ip', value: outside.server4 },
        { type: 'ip', value: outside.server6 },
      ]),
    ],
  });
  const certificatePem = `${certificate.toString('pem')}\n`;
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const body = pkcs8.toString('base64').replaceAll(/(.{64})/g, '$1\n');
  return {
    certificatePem,
    keyPem: `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`,
    pin: pinOf(new X509Certificate(certificatePem).publicKey),
  };
}

/** The certificate of the given kind. */
export function certificate(kind: KeyKind): Promise<Certificate> {
  const found = made.get(kind) ?? makeCertificate(kind);
  made.set(kind, found);
  return found;
}

/** Writes certificate and key of a kind into `folder`; the key readable by its owner only. */
export async function writeCertificate(
  folder: string,
  kind: KeyKind,
): Promise<{ certificate: string; key: string; pin: string }> {
  const { certificatePem, keyPem, pin } = await certificate(kind);
  const paths = { certificate: join(folder, `${kind}-cert.pem`), key: join(folder, `${kind}-key.pem`) };
  writeFileSync(paths.certificate, certificatePem);
  writeFileSync(paths.key, keyPem, { mode: 0o600 });
  return { ...paths, pin };
}
