/** Issues certificates (RFC 5280). */
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type KeyPair, type KeyType, keyPair } from './key-pair.js';

export interface ServerNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

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

/** Whom a client certificate names. */
export interface ClientNames {
  /** CN and UID. */
  readonly userName: string;
  /** OU, one for each. */
  readonly groups: readonly string[];
  /** Alternative names; '' for none. */
  readonly email: string;
  readonly upn: string;
}

export interface CaOptions {
  /** PEM; null: a new key of `keyType`. */
  readonly key: string | null;
  readonly keyType?: KeyType;
  /** CN; absent: one with a random part, so that two of them in one trust store are not mixed up. */
  readonly name?: string;
}

const UID = '0.9.2342.19200300.100.1.1';

/** A self-signed CA. Rejects if its key cannot sign. */
export async function issueCa({ key, keyType, name }: CaOptions, validity: Validity): Promise<Issued> {
  const keys = await keyPair(key, keyType);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [name ?? `ocvpn CA ${randomBytes(4).toString('hex')}`] }],
    ...validity,
    signingAlgorithm: keys.algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: keys.pem };
}

/** A server certificate for `names` on the key `key`, or on a new one if that is null. */
export async function issueServer(
  ca: Issued,
  key: string | null,
  names: ServerNames,
  validity: Validity,
  keyType: KeyType = 'ec',
): Promise<Issued> {
  const keys = await keyPair(key, keyType);
  return issueLeaf(ca, keys, validity, [{ CN: [commonName(names)] }], ExtendedKeyUsage.serverAuth, [
    ...names.dns.map((value) => ({ type: 'dns' as const, value })),
    ...names.ip.map((value) => ({ type: 'ip' as const, value })),
  ]);
}

/** A client certificate on a new key. */
export async function issueClient(
  ca: Issued,
  { userName, groups, email, upn }: ClientNames,
  validity: Validity,
  keyType: KeyType = 'ec',
): Promise<Issued> {
  const keys = await keyPair(null, keyType);
  const subject: JsonName = [
    { CN: [userName] },
    ...groups.map((group) => ({ OU: [group] })),
    { [UID]: [userName] },
  ];
  return issueLeaf(ca, keys, validity, subject, ExtendedKeyUsage.clientAuth, [
    ...(email === '' ? [] : [{ type: 'email' as const, value: email }]),
    ...(upn === '' ? [] : [{ type: 'upn' as const, value: upn }]),
  ]);
}

async function issueLeaf(
  ca: Issued,
  keys: KeyPair,
  validity: Validity,
  subject: JsonName,
  purpose: ExtendedKeyUsage,
  alternativeNames: JsonGeneralNames,
): Promise<Issued> {
  const issuer = new X509Certificate(ca.certificate);
  const authority = await keyPair(ca.key);
  const named: Extension[] =
    alternativeNames.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternativeNames)];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer: issuer.subject,
    ...validity,
    signingAlgorithm: authority.algorithm,
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([purpose]),
      ...named,
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: keys.pem };
}

/** ub-common-name of RFC 5280 appendix A is 64. */
function commonName(names: ServerNames): string {
  return [...names.dns, ...names.ip].find((name) => name.length <= 64) ?? 'localhost';
}

/** 127 random bits: positive, at most 20 bytes (RFC 5280 section 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString('hex');
}
