/** Cipher suites as ocserv's administrators know them: GnuTLS's spelling, e.g. (DTLS1.2)-(PSK)-(AES-256-GCM). */

/** What the spelling is made of; the names are OpenSSL's. */
export interface SuiteInfo {
  /** 'TLSv1.3', 'TLSv1.2', 'DTLSv1.2' */
  readonly version: string;
  readonly cipher: string;
  /** '' without key exchange group. */
  readonly group: string;
  /** TLS SignatureScheme of the server's signature, 0 if it gave none. */
  readonly signatureScheme: number;
}

const groups: Readonly<Record<string, string>> = {
  x25519: 'X25519',
  x448: 'X448',
  x25519mlkem768: 'X25519-MLKEM768',
  secp256r1: 'SECP256R1',
  prime256v1: 'SECP256R1',
  'p-256': 'SECP256R1',
  secp384r1: 'SECP384R1',
  'p-384': 'SECP384R1',
  secp521r1: 'SECP521R1',
  'p-521': 'SECP521R1',
};

/** RFC 8446 §4.2.3 code points in GnuTLS's names. */
const schemes: Readonly<Record<number, string>> = {
  1025: 'RSA-SHA256',
  1281: 'RSA-SHA384',
  1537: 'RSA-SHA512',
  1027: 'ECDSA-SECP256R1-SHA256',
  1283: 'ECDSA-SECP384R1-SHA384',
  1539: 'ECDSA-SECP521R1-SHA512',
  2052: 'RSA-PSS-RSAE-SHA256',
  2053: 'RSA-PSS-RSAE-SHA384',
  2054: 'RSA-PSS-RSAE-SHA512',
  2055: 'EdDSA-Ed25519',
  2056: 'EdDSA-Ed448',
};

/** `(version)-(key exchange)[-(signature)]-(cipher)[-(MAC)]`. */
export function suiteName(info: SuiteInfo): string {
  const version = info.version.replace('v', '').replace(/^(D?TLS)1$/, '$11.0');
  const parts = [version, ...keyExchange(info), ...bulkCipher(info.cipher)];
  return parts.map((part) => `(${part})`).join('-');
}

function keyExchange({ version, cipher, group, signatureScheme }: SuiteInfo): string[] {
  if (cipher.startsWith('PSK-')) return ['PSK'];
  const ephemeral = version.endsWith('1.3') || cipher.startsWith('ECDHE-');
  if (!ephemeral) return ['RSA'];
  // A resumed DTLS session has no group of its own: (DTLS1.2)-(ECDHE-RSA)-(AES-256-GCM).
  const exchange = group ? [groupName(group)] : (/^ECDHE-(?:RSA|ECDSA)/.exec(cipher)?.slice(0, 1) ?? []);
  return signatureScheme ? [...exchange, signatureName(signatureScheme, version)] : exchange;
}

const groupName = (group: string): string => `ECDHE-${groups[group.toLowerCase()] ?? group.toUpperCase()}`;

/** TLS 1.2 binds ECDSA to a hash, not to a curve. */
function signatureName(scheme: number, version: string): string {
  const name = schemes[scheme] ?? `0x${scheme.toString(16).padStart(4, '0')}`;
  return version.endsWith('1.3') ? name : name.replace(/^ECDSA-SECP\d+R1-/, 'ECDSA-');
}

/** AEAD suites have no MAC of their own. */
function bulkCipher(cipher: string): string[] {
  if (/CHACHA20/.test(cipher)) return ['CHACHA20-POLY1305'];
  const aead = /AES[-_]?(128|256)[-_](GCM|CCM)(_?8)?/.exec(cipher);
  if (aead) return [`AES-${aead[1]}-${aead[2]}${aead[3] ? '-8' : ''}`];
  const cbc = /AES(128|256)(?:-CBC)?-SHA(\d*)$/.exec(cipher);
  return cbc ? [`AES-${cbc[1]}-CBC`, `SHA${cbc[2] || '1'}`] : [cipher];
}
