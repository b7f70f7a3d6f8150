// Holds private keys and signs for a TLS process: what secmod does, without its channel. Started by
// native-tls.support.ts; arguments are the key files in keyIndex order.
import { constants, createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface SignMessage {
  id: number;
  keyIndex: number;
  scheme: number;
  data: string;
}

const keys = process.argv.slice(2).map((path) => createPrivateKey(readFileSync(path)));

const hashes: Record<number, string> = { 4: 'sha256', 5: 'sha384', 6: 'sha512' };

/** RFC 8446 4.2.3: 0xHHSS (hash, signature) for PKCS#1 and ECDSA, 0x0804..6 for PSS, 0x0807 for Ed25519. */
function signScheme(key: KeyObject, scheme: number, data: Buffer): Buffer {
  if (scheme === 0x0807) return sign(null, data, key);
  if (scheme >> 8 === 8) {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return sign(hashes[scheme & 0xff], data, { key, padding, saltLength });
  }
  return sign(hashes[scheme >> 8], data, key);
}

process.on('message', ({ id, keyIndex, scheme, data }: SignMessage) => {
  const key = keys[keyIndex] as KeyObject;
  process.send?.({ id, signature: signScheme(key, scheme, Buffer.from(data, 'base64')).toString('base64') });
});
