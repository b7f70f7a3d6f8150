/** Issues certificates (RFC 5280) with keys on P-256. */
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { ServerNames } from './embedded-pki.js';

/** PEM. */
export interface Issued {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

interface Keys {
  readonly pem: string;
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A self-signed CA on `keyPem`, or on a new key if that is null. Rejects if the key is not on P-256. */
export async function issueCa(keyPem: string | null, validity: Validity): Promise<Issued> {
  const keys = await useKey(keyPem);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    // A name of its own for each CA, so that two of them in one trust store are not mixed up.
    name: `CN=ocvpn CA ${randomBytes(4).toString('hex')}`,
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: keys.pem };
}

/** A server certificate for `names` on `keyPem`, or on a new key if that is null. */
export async function issueServer(
  ca: Issued,
  keyPem: string | null,
  names: ServerNames,
  validity: Validity,
): Promise<Issued> {
  const keys = await useKey(keyPem);
  const issuer = new X509Certificate(ca.certificate);
  const authority = await useKey(ca.key);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [commonName(names)] }],
    issuer: issuer.subject,
    ...validity,
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([
        ...names.dns.map((value) => ({ type: 'dns' as const, value })),
        ...names.ip.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: keys.pem };
}

/** ub-common-name of RFC 5280 appendix A is 64. */
function commonName(names: ServerNames): string {
  return names.dns.find((name) => name.length <= 64) ?? 'localhost';
}

async function useKey(keyPem: string | null): Promise<Keys> {
  const privatePem = keyPem ?? (await newKey());
  const privateDer = createPrivateKey(privatePem).export({ type: 'pkcs8', format: 'der' });
  const publicDer = createPublicKey(privatePem).export({ type: 'spki', format: 'der' });
  return {
    pem: privatePem,
    privateKey: await webcrypto.subtle.importKey('pkcs8', privateDer, ALGORITHM, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', publicDer, ALGORITHM, true, ['verify']),
  };
}

async function newKey(): Promise<string> {
  const { privateKey } = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', privateKey));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();
}

/** 127 random bits: positive, at most 20 bytes (RFC 5280 section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString('hex');
}
