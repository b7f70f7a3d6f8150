/** Keys that certificates are made of: new ones, and those of a PEM text. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  webcrypto,
} from 'node:crypto';

export const KEY_TYPES = ['ec', 'rsa', 'ed25519'] as const;
export type KeyType = (typeof KEY_TYPES)[number];

export interface KeyPair {
  /** PKCS #8. */
  readonly pem: string;
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
  /** How it signs. */
  readonly algorithm: { readonly name: string; readonly hash?: string; readonly namedCurve?: string };
}

const RSA_BITS = 3072;
/** Curves by OpenSSL's names, with the hash of the same strength. */
const CURVES: Readonly<Record<string, readonly [namedCurve: string, hash: string]>> = {
  prime256v1: ['P-256', 'SHA-256'],
  secp384r1: ['P-384', 'SHA-384'],
  secp521r1: ['P-521', 'SHA-512'],
};

/** The key pair of a private key in PEM, or a new one of this type if that is null. Rejects for a key of another type. */
export async function keyPair(pem: string | null, type: KeyType = 'ec'): Promise<KeyPair> {
  const key = pem === null ? newKey(type) : createPrivateKey(pem);
  const algorithm = algorithmOf(key);
  const privateDer = key.export({ type: 'pkcs8', format: 'der' });
  const publicDer = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return {
    pem: pem ?? key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey: await webcrypto.subtle.importKey('pkcs8', privateDer, algorithm, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', publicDer, algorithm, true, ['verify']),
    algorithm,
  };
}

function newKey(type: KeyType): KeyObject {
  if (type === 'rsa') return generateKeyPairSync('rsa', { modulusLength: RSA_BITS }).privateKey;
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey;
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function algorithmOf(key: KeyObject): KeyPair['algorithm'] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return { name: 'Ed25519' };
  if (type === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const curve = type === 'ec' ? CURVES[details?.namedCurve ?? ''] : undefined;
  if (!curve)
    throw new Error(`a key of type ${type} ${details?.namedCurve ?? ''} cannot sign certificates here`);
  return { name: 'ECDSA', namedCurve: curve[0], hash: curve[1] };
}
