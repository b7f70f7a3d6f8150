/**
 * Maps a GnuTLS priority string (tls-priorities) to settings of OpenSSL. Pure. What has no counterpart is reported by
 * name; sources: the chapter "Priority strings" of the GnuTLS manual, openssl-ciphers(1), SSL_CTX_set1_groups_list(3).
 */
import { parsePriority, type Selection } from './gnutls-priority-parse.js';
import { CIPHERS, GROUPS, KEY_EXCHANGES, SIGNATURES, SUITES_13, VERSIONS } from './gnutls-priority-tables.js';

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

export interface TlsSettings {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** OpenSSL names of TLS 1.2 suites in order of preference, joined by colons; '' with TLS 1.3 only. */
  readonly cipherList: string;
  /** OpenSSL names of TLS 1.3 suites, joined by colons; '' with TLS 1.2 only. */
  readonly cipherSuites: string;
  /** Key exchange groups, joined by colons. */
  readonly groups: string;
  /** Signature algorithms, joined by colons. */
  readonly signatureAlgorithms: string;
  /** The server's order of suites decides, not the client's. */
  readonly serverPreference: boolean;
  /** What could not be mapped, one sentence each. */
  readonly warnings: readonly string[];
}

/** Settings for `priority`, or a sentence about why nothing would be left to connect with. */
export function mapPriority(priority: string): TlsSettings | string {
  const parsed = parsePriority(priority);
  if (typeof parsed === 'string') return parsed;
  const { selection, serverPrecedence } = parsed;
  const warnings = [...parsed.warnings];
  const versions = selection.versions.map((name) => VERSIONS.get(name));
  const suites12 = versions.includes('TLSv1.2') ? suitesOf(selection) : [];
  const suites13 = versions.includes('TLSv1.3') ? suites13Of(selection) : [];
  if (suites12.length + suites13.length === 0)
    return `"${priority}" leaves no cipher suite of TLS 1.2 or TLS 1.3${because(warnings)}`;
  const groups = selection.groups.flatMap((name) => GROUPS.get(name) ?? []);
  if (groups.length === 0) return `"${priority}" leaves no group for the key exchange${because(warnings)}`;
  return {
    minVersion: suites12.length > 0 ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: suites13.length > 0 ? 'TLSv1.3' : 'TLSv1.2',
    cipherList: suites12.join(':'),
    cipherSuites: suites13.join(':'),
    groups: groups.join(':'),
    signatureAlgorithms: selection.signatures.flatMap((name) => SIGNATURES.get(name) ?? []).join(':'),
    serverPreference: serverPrecedence,
    warnings,
  };
}

/** The words that did not count are the likely reason. */
const because = (warnings: readonly string[]): string =>
  warnings.length === 0 ? '' : `: ${warnings.join(', ')}`;

/** Every suite of a permitted key exchange, cipher and MAC; GnuTLS orders by the first of these first. */
function suitesOf({ ciphers, macs, keyExchanges }: Selection): string[] {
  const suites: string[] = [];
  for (const exchange of keyExchanges) {
    for (const { name, mac, exchanges } of ciphers.flatMap((cipher) => CIPHERS.get(cipher) ?? [])) {
      if (!macs.includes(mac) || (exchanges && !exchanges.includes(exchange))) continue;
      suites.push(`${KEY_EXCHANGES.get(exchange) ?? ''}${name}`);
    }
  }
  return suites;
}

function suites13Of({ ciphers, macs }: Selection): string[] {
  return macs.includes('AEAD') ? ciphers.flatMap((name) => SUITES_13.get(name) ?? []) : [];
}
