/** The certificates and private keys of a virtual host. */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';

export interface ServerKey {
  /** PEM, leaf first. */
  readonly chain: Buffer;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex: the `publicKey` of SEC_SIGN_DATA. */
  readonly fingerprint: string;
  readonly privateKey: KeyObject;
}

const MIN_RSA_BITS = 2048;
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];

/**
 * Reads server-cert and server-key.
 * Throws OCS_KEY_COUNT, OCS_KEY_TYPE, OCS_KEY_MISMATCH, OCS_FILE.
 */
export function loadKeys(vhost: VhostConfig): ServerKey[] {
  const [certs, keys] = [vhost['server-cert'], vhost['server-key']];
  if (certs.length === 0 || certs.length !== keys.length) {
    throw new VpnError('OCS_KEY_COUNT', { vhost: vhost.name, certs: certs.length, keys: keys.length });
  }
  const pin = pinOf(vhost);
  return certs.map((cert, index) => loadKey(cert, keys[index] ?? '', pin));
}

/** Why clients refuse a certificate at a time (milliseconds since the epoch); null: not for its dates. */
export function datesProblem({ chain }: ServerKey, nowMs: number): string | null {
  const { validFromDate, validToDate } = new X509Certificate(chain);
  const day = (date: Date): string => date.toISOString().slice(0, 10);
  if (nowMs > validToDate.getTime()) return `its validity ended on ${day(validToDate)}`;
  return nowMs < validFromDate.getTime() ? `its validity begins on ${day(validFromDate)}` : null;
}

/** Password of encrypted keys: key-pin, or the first line of pin-file; '' without. */
function pinOf({ 'key-pin': pin, 'pin-file': path }: VhostConfig): string {
  if (pin !== '' || path === '') return pin;
  return readFrom('pin-file', path, (text) => text.toString('utf8').split(/\r?\n/, 1)[0] ?? '');
}

function loadKey(certPath: string, keyPath: string, passphrase: string): ServerKey {
  const [chain, leaf] = readFrom('certificate', certPath, (pem): [Buffer, X509Certificate] => [
    pem,
    new X509Certificate(pem),
  ]);
  const privateKey = readFrom('private key', keyPath, (key) => createPrivateKey({ key, passphrase }));
  const unusable = unusableType(privateKey);
  if (unusable) throw new VpnError('OCS_KEY_TYPE', { key: keyPath, type: unusable });
  if (!leaf.checkPrivateKey(privateKey))
    throw new VpnError('OCS_KEY_MISMATCH', { cert: certPath, key: keyPath });
  const fingerprint = createHash('sha256')
    .update(leaf.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
  return { chain, fingerprint, privateKey };
}

function readFrom<T>(what: string, path: string, parse: (pem: Buffer) => T): T {
  try {
    return parse(readFileSync(path));
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what, path, reason }, { cause: error });
  }
}

/** Name of the type of a key that TLS cannot use here, null for one that it can. */
function unusableType(key: KeyObject): string | null {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return null;
  if (type === 'rsa') {
    const bits = details?.modulusLength ?? 0;
    return bits >= MIN_RSA_BITS ? null : `RSA with ${bits} bits`;
  }
  if (type === 'ec') {
    const curve = details?.namedCurve ?? '';
    return CURVES.includes(curve) ? null : `EC on ${curve}`;
  }
  return type ?? key.type;
}
