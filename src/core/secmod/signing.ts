/**
 * Signatures for the TLS handshakes of workers. What is signed must have the exact form of a server's handshake
 * message, so that a worker that was taken over has no general signing oracle.
 */
import { constants, type KeyObject, type SignKeyObjectInput, sign, verify } from 'node:crypto';

/** How a TLS SignatureScheme (RFC 8446 section 4.2.3) is computed and which keys fit. */
interface Scheme {
  readonly keyType: 'rsa' | 'ec' | 'ed25519';
  readonly digest: 'sha256' | 'sha384' | 'sha512' | null;
  readonly padding?: 'pkcs1' | 'pss';
  /** TLS 1.3 binds the curve to the scheme; TLS 1.2 does not (RFC 8422 section 5.1.1). */
  readonly curve?: string;
}

const SCHEMES: ReadonlyMap<number, Scheme> = new Map<number, Scheme>([
  [0x0401, { keyType: 'rsa', digest: 'sha256', padding: 'pkcs1' }],
  [0x0501, { keyType: 'rsa', digest: 'sha384', padding: 'pkcs1' }],
  [0x0601, { keyType: 'rsa', digest: 'sha512', padding: 'pkcs1' }],
  [0x0804, { keyType: 'rsa', digest: 'sha256', padding: 'pss' }],
  [0x0805, { keyType: 'rsa', digest: 'sha384', padding: 'pss' }],
  [0x0806, { keyType: 'rsa', digest: 'sha512', padding: 'pss' }],
  [0x0403, { keyType: 'ec', digest: 'sha256', curve: 'prime256v1' }],
  [0x0503, { keyType: 'ec', digest: 'sha384', curve: 'secp384r1' }],
  [0x0603, { keyType: 'ec', digest: 'sha512', curve: 'secp521r1' }],
  [0x0807, { keyType: 'ed25519', digest: null }],
]);

/** What is signed before the transcript hash (RFC 8446 section 4.4.3). */
const verifyPrefix = (side: 'server' | 'client'): Buffer =>
  Buffer.concat([Buffer.alloc(64, 0x20), Buffer.from(`TLS 1.3, ${side} CertificateVerify\0`, 'latin1')]);
const CERTIFICATE_VERIFY_PREFIX = verifyPrefix('server');
/** Transcript hashes of the TLS 1.3 suites: SHA-256 and SHA-384. */
const TRANSCRIPT_HASH_BYTES = [32, 48];

const RANDOMS_BYTES = 64;
/** ECCurveType named_curve (RFC 8422 section 5.4). */
const NAMED_CURVE = 3;
/** Public point or key of each NamedCurve, bytes: x25519, secp256r1, secp384r1, secp521r1, x448. */
const POINT_BYTES: ReadonlyMap<number, number> = new Map([
  [0x001d, 32],
  [0x0017, 65],
  [0x0018, 97],
  [0x0019, 133],
  [0x001e, 56],
]);

/** Which handshake message `data` is, null for none that a server signs. */
export function handshakeForm(data: Uint8Array): 'CertificateVerify' | 'ServerKeyExchange' | null {
  if (isCertificateVerify(data)) return 'CertificateVerify';
  return isServerKeyExchange(data) ? 'ServerKeyExchange' : null;
}

function isCertificateVerify(data: Uint8Array): boolean {
  const { length } = CERTIFICATE_VERIFY_PREFIX;
  const fixed = data.subarray(0, length);
  return TRANSCRIPT_HASH_BYTES.includes(data.length - length) && CERTIFICATE_VERIFY_PREFIX.equals(fixed);
}

/** TLS 1.2 with ECDHE: client_random, server_random, ServerECDHParams to the end exactly. */
function isServerKeyExchange(data: Uint8Array): boolean {
  if (data.length < RANDOMS_BYTES + 4) return false;
  const params = Buffer.from(data.buffer, data.byteOffset, data.byteLength).subarray(RANDOMS_BYTES);
  const pointBytes = POINT_BYTES.get(params.readUInt16BE(1));
  return (
    params.readUInt8(0) === NAMED_CURVE &&
    params.readUInt8(3) === pointBytes &&
    params.length === 4 + pointBytes
  );
}

/** Why this key must not make this signature, null if it may. */
export function signatureRefusal(key: KeyObject, schemeCode: number, data: Uint8Array): string | null {
  const scheme = SCHEMES.get(schemeCode);
  if (!scheme) return 'unknown signature scheme';
  if (key.asymmetricKeyType !== scheme.keyType) return 'the scheme does not fit the key';
  const form = handshakeForm(data);
  if (!form) return 'the data is no handshake message that a server signs';
  if (form === 'ServerKeyExchange') return null;
  if (scheme.padding === 'pkcs1') return 'TLS 1.3 has no PKCS #1 v1.5 signatures';
  return fitsCurve(key, scheme) ? null : 'the scheme does not fit the curve of the key';
}

/**
 * RSA signs off the event loop; the others take less time than to hand the work to a thread. Call only when
 * `signatureRefusal` is null. Rejects with the error of OpenSSL.
 */
export async function signHandshake(key: KeyObject, schemeCode: number, data: Uint8Array): Promise<Buffer> {
  const scheme = SCHEMES.get(schemeCode);
  if (!scheme) throw new RangeError(`unknown signature scheme ${schemeCode}`);
  // The key by itself is taken twice as fast as with options; DER is what Node makes without any.
  if (scheme.keyType !== 'rsa') return sign(scheme.digest, data, key);
  return new Promise((resolve, reject) => {
    sign(scheme.digest, data, signInput(key, scheme), (error, signature) => {
      if (error) reject(error);
      else resolve(signature);
    });
  });
}

/** What the CertificateVerify of TLS 1.3 of this side is a signature over. */
export function verifyContent(side: 'server' | 'client', transcriptHash: Uint8Array): Buffer {
  return Buffer.concat([verifyPrefix(side), transcriptHash]);
}

/** Whether the CertificateVerify of a client is good: the scheme fits the key and the version, the signature is right. */
export function isClientSignature(
  key: KeyObject,
  { scheme: code, signature, clientSigned, tls13 }: ClientSignature,
): boolean {
  const scheme = SCHEMES.get(code);
  if (!scheme || key.asymmetricKeyType !== scheme.keyType) return false;
  if (tls13 && (scheme.padding === 'pkcs1' || !fitsCurve(key, scheme))) return false;
  return verify(scheme.digest, clientSigned, signInput(key, scheme), signature);
}

export interface ClientSignature {
  readonly scheme: number;
  readonly signature: Uint8Array;
  readonly clientSigned: Uint8Array;
  readonly tls13: boolean;
}

const fitsCurve = (key: KeyObject, { curve }: Scheme): boolean =>
  !curve || key.asymmetricKeyDetails?.namedCurve === curve;

/** PSS: the salt is as long as the hash (RFC 8446 section 4.2.3). ECDSA: DER. */
function signInput(key: KeyObject, { padding }: Scheme): SignKeyObjectInput {
  if (padding === 'pkcs1') return { key, padding: constants.RSA_PKCS1_PADDING };
  if (padding === 'pss') {
    return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  }
  return { key, dsaEncoding: 'der' };
}
