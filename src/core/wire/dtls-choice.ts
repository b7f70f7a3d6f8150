/** Which DTLS a session gets: PSK-NEGOTIATE, a legacy suite, or none (reference protocol.md §12.1). */
import type { ConnectRequest } from './connect-request.js';

export interface DtlsPolicy {
  /** dtls-psk */
  readonly psk: boolean;
  /** dtls-legacy */
  readonly legacy: boolean;
  /** UDP is there at all: udp-port set and no-udp not. */
  readonly udp: boolean;
  /** match-tls-dtls-ciphers: only the cipher of the TLS channel. */
  readonly matchTls: boolean;
  /** OpenSSL's names of the TLS suites whose ciphers may be used; null: any. */
  readonly suites: readonly string[] | null;
}

export interface LegacySuite {
  readonly header: 'X-DTLS-CipherSuite' | 'X-DTLS12-CipherSuite';
  /** Name in that header. */
  readonly name: string;
  /** Name in OpenSSL, for TunnelOptions. */
  readonly openssl: string;
  readonly cipher: 'AES-256-GCM' | 'AES-128-GCM';
  readonly priority: number;
}

export type DtlsChoice =
  | { readonly mode: 'psk' /** OpenSSL's list. */; readonly ciphers: string }
  | { readonly mode: 'legacy'; readonly suite: LegacySuite; readonly masterSecret: Buffer };

/**
 * The suites of the legacy mode. Cisco's pre-RFC "DTLS 0.9" names (AES256-SHA, AES128-SHA, DES-CBC3-SHA) are left
 * out: every client that still offers them also offers one of these.
 */
const X_DTLS = 'X-DTLS-CipherSuite';
const X_DTLS12 = 'X-DTLS12-CipherSuite';
export const legacySuites: readonly LegacySuite[] = [
  {
    header: X_DTLS12,
    name: 'AES256-GCM-SHA384',
    openssl: 'AES256-GCM-SHA384',
    cipher: 'AES-256-GCM',
    priority: 90,
  },
  {
    header: X_DTLS12,
    name: 'ECDHE-RSA-AES256-GCM-SHA384',
    openssl: 'ECDHE-RSA-AES256-GCM-SHA384',
    cipher: 'AES-256-GCM',
    priority: 80,
  },
  {
    header: X_DTLS12,
    name: 'ECDHE-RSA-AES128-GCM-SHA256',
    openssl: 'ECDHE-RSA-AES128-GCM-SHA256',
    cipher: 'AES-128-GCM',
    priority: 70,
  },
  {
    header: X_DTLS12,
    name: 'AES128-GCM-SHA256',
    openssl: 'AES128-GCM-SHA256',
    cipher: 'AES-128-GCM',
    priority: 50,
  },
  {
    header: X_DTLS,
    name: 'OC-DTLS1_2-AES256-GCM',
    openssl: 'AES256-GCM-SHA384',
    cipher: 'AES-256-GCM',
    priority: 90,
  },
  {
    header: X_DTLS,
    name: 'OC-DTLS1_2-AES128-GCM',
    openssl: 'AES128-GCM-SHA256',
    cipher: 'AES-128-GCM',
    priority: 80,
  },
];

/**
 * PSK suites, best first: AEAD only, so that the record overhead is known before the handshake. Every client
 * that offers PSK-NEGOTIATE has them.
 */
const pskSuites = [
  { openssl: 'PSK-AES256-GCM-SHA384', cipher: 'AES-256-GCM' },
  { openssl: 'PSK-CHACHA20-POLY1305', cipher: 'CHACHA20-POLY1305' },
  { openssl: 'PSK-AES128-GCM-SHA256', cipher: 'AES-128-GCM' },
] as const;

/** `tlsCipher`: OpenSSL's name of the TLS channel's suite. */
export function chooseDtls(
  request: ConnectRequest,
  policy: DtlsPolicy,
  tlsCipher: string,
): DtlsChoice | null {
  if (!policy.udp) return null;
  const offersPsk = [...request.dtlsCipherSuites, ...request.dtls12CipherSuites].includes('PSK-NEGOTIATE');
  if (policy.psk && offersPsk) {
    const usable = pskSuites.filter(({ cipher }) => isPermitted(policy, cipher, tlsCipher));
    if (usable.length > 0) return { mode: 'psk', ciphers: usable.map(({ openssl }) => openssl).join(':') };
  }
  const masterSecret = request.dtlsMasterSecret;
  if (!policy.legacy || !masterSecret) return null;
  const suite =
    bestSuite(X_DTLS12, request.dtls12CipherSuites, tlsCipher) ??
    bestSuite(X_DTLS, request.dtlsCipherSuites, tlsCipher);
  if (!suite || (policy.matchTls && !sameCipher(suite.cipher, tlsCipher))) return null;
  return { mode: 'legacy', suite, masterSecret };
}

function isPermitted({ matchTls, suites }: DtlsPolicy, cipher: string, tlsCipher: string): boolean {
  if (matchTls && !sameCipher(cipher, tlsCipher)) return false;
  return suites === null || suites.some((suite) => sameCipher(cipher, suite));
}

/** Highest priority, but a suite with the TLS channel's cipher wins at once. */
function bestSuite(from: string, offered: readonly string[], tlsCipher: string): LegacySuite | null {
  let best: LegacySuite | null = null;
  for (const name of offered) {
    const suite = legacySuites.find((candidate) => candidate.header === from && candidate.name === name);
    if (!suite) continue;
    if (sameCipher(suite.cipher, tlsCipher)) return suite;
    if (!best || suite.priority > best.priority) best = suite;
  }
  return best;
}

/** OpenSSL writes AES-256-GCM as AES256-GCM (TLS 1.2) or AES_256_GCM (TLS 1.3). */
function sameCipher(cipher: string, tlsCipher: string): boolean {
  const plain = (name: string): string => name.replaceAll(/[-_]/g, '');
  return plain(tlsCipher).includes(plain(cipher));
}
