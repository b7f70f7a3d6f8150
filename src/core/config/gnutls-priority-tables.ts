/**
 * Names of GnuTLS (3.7: `gnutls-cli --list --priority …`) and their counterparts in OpenSSL (`openssl ciphers -V`).
 * A name with an empty list is covered by another one.
 */

/** What a keyword stands for, each list in order of preference. */
export interface Selection {
  readonly versions: readonly string[];
  readonly ciphers: readonly string[];
  readonly macs: readonly string[];
  readonly keyExchanges: readonly string[];
  readonly groups: readonly string[];
  readonly signatures: readonly string[];
}

const words = (text: string): string[] => text.trim().split(/\s+/);

/** TLS 1.1 and older are selected by GnuTLS's keywords, too, but no server of today should offer them: they never are here. */
const ANY_VERSION = words('VERS-TLS1.3 VERS-TLS1.2');
const EXCHANGES = words('ECDHE-ECDSA ECDHE-RSA RSA DHE-RSA');
const ALL_GROUPS = words(
  'SECP256R1 SECP384R1 SECP521R1 X25519 X448 FFDHE2048 FFDHE3072 FFDHE4096 FFDHE6144 FFDHE8192',
);
const STRONG_GROUPS = words('SECP384R1 SECP521R1 FFDHE8192');
const SIGNATURES_256 = words(
  'RSA-SHA256 RSA-PSS-SHA256 RSA-PSS-RSAE-SHA256 ECDSA-SHA256 ECDSA-SECP256R1-SHA256 EDDSA-ED25519',
);
const SIGNATURES_384 = words(
  'RSA-SHA384 RSA-PSS-SHA384 RSA-PSS-RSAE-SHA384 ECDSA-SHA384 ECDSA-SECP384R1-SHA384 EDDSA-ED448 ' +
    'RSA-SHA512 RSA-PSS-SHA512 RSA-PSS-RSAE-SHA512 ECDSA-SHA512 ECDSA-SECP521R1-SHA512',
);
const SECURE_SIGNATURES = [...SIGNATURES_256, ...SIGNATURES_384];
const ALL_SIGNATURES = [...SECURE_SIGNATURES, ...words('RSA-SHA1 ECDSA-SHA1')];

const NORMAL: Selection = {
  versions: ANY_VERSION,
  ciphers: words('AES-256-GCM CHACHA20-POLY1305 AES-256-CCM AES-256-CBC AES-128-GCM AES-128-CCM AES-128-CBC'),
  macs: words('SHA1 AEAD'),
  keyExchanges: EXCHANGES,
  groups: ALL_GROUPS,
  signatures: ALL_SIGNATURES,
};
const SECURE192: Selection = {
  ...NORMAL,
  ciphers: words('AES-256-GCM CHACHA20-POLY1305 AES-256-CBC AES-256-CCM'),
  macs: ['AEAD'],
  groups: STRONG_GROUPS,
  signatures: SIGNATURES_384,
};

export const KEYWORDS: ReadonlyMap<string, Selection> = new Map([
  ['NORMAL', NORMAL],
  ['LEGACY', NORMAL],
  ['PFS', { ...NORMAL, keyExchanges: words('ECDHE-ECDSA ECDHE-RSA DHE-RSA') }],
  [
    'PERFORMANCE',
    {
      ...NORMAL,
      ciphers: words(
        'AES-128-GCM AES-256-GCM CHACHA20-POLY1305 AES-128-CCM AES-256-CCM AES-128-CBC AES-256-CBC',
      ),
      keyExchanges: words('RSA ECDHE-ECDSA ECDHE-RSA DHE-RSA'),
    },
  ],
  [
    'SECURE128',
    {
      ...NORMAL,
      ciphers: words(
        'AES-256-GCM CHACHA20-POLY1305 AES-256-CBC AES-256-CCM AES-128-GCM AES-128-CBC AES-128-CCM',
      ),
      signatures: SECURE_SIGNATURES,
    },
  ],
  ['SECURE192', SECURE192],
  ['SECURE256', SECURE192],
  [
    'SUITEB128',
    {
      versions: ['VERS-TLS1.2'],
      ciphers: words('AES-256-GCM AES-128-GCM'),
      macs: ['AEAD'],
      keyExchanges: ['ECDHE-ECDSA'],
      groups: words('SECP256R1 SECP384R1'),
      signatures: words('ECDSA-SHA256 ECDSA-SECP256R1-SHA256 ECDSA-SHA384 ECDSA-SECP384R1-SHA384'),
    },
  ],
  [
    'SUITEB192',
    {
      versions: ['VERS-TLS1.2'],
      ciphers: ['AES-256-GCM'],
      macs: ['AEAD'],
      keyExchanges: ['ECDHE-ECDSA'],
      groups: ['SECP384R1'],
      signatures: words('ECDSA-SHA384 ECDSA-SECP384R1-SHA384'),
    },
  ],
]);

/** Versions that can be offered. */
export const VERSIONS: ReadonlyMap<string, 'TLSv1.2' | 'TLSv1.3'> = new Map([
  ['VERS-TLS1.3', 'TLSv1.3'],
  ['VERS-TLS1.2', 'TLSv1.2'],
]);

/** Prefix of OpenSSL's suite names. */
export const KEY_EXCHANGES: ReadonlyMap<string, string> = new Map([
  ['ECDHE-ECDSA', 'ECDHE-ECDSA-'],
  ['ECDHE-RSA', 'ECDHE-RSA-'],
  ['RSA', ''],
  ['DHE-RSA', 'DHE-RSA-'],
]);

interface Suite {
  /** OpenSSL's name without the prefix of the key exchange. */
  readonly name: string;
  readonly mac: string;
  /** Key exchanges that the suite exists for; absent: all. */
  readonly exchanges?: readonly string[];
}

const aead = (name: string, exchanges?: readonly string[]): Suite => ({
  name,
  mac: 'AEAD',
  ...(exchanges && { exchanges }),
});
const FORWARD = words('ECDHE-ECDSA ECDHE-RSA DHE-RSA');
const NOT_ECDHE_RSA = words('ECDHE-ECDSA RSA DHE-RSA');
const ECDHE = words('ECDHE-ECDSA ECDHE-RSA');
const CLASSIC = words('RSA DHE-RSA');

/** TLS 1.2 suites of each cipher, in GnuTLS's order. */
export const CIPHERS: ReadonlyMap<string, readonly Suite[]> = new Map([
  ['AES-256-GCM', [aead('AES256-GCM-SHA384')]],
  ['AES-128-GCM', [aead('AES128-GCM-SHA256')]],
  ['CHACHA20-POLY1305', [aead('CHACHA20-POLY1305', FORWARD)]],
  ['AES-256-CCM', [aead('AES256-CCM', NOT_ECDHE_RSA)]],
  ['AES-128-CCM', [aead('AES128-CCM', NOT_ECDHE_RSA)]],
  ['AES-256-CCM-8', [aead('AES256-CCM8', NOT_ECDHE_RSA)]],
  ['AES-128-CCM-8', [aead('AES128-CCM8', NOT_ECDHE_RSA)]],
  [
    'AES-256-CBC',
    [
      { name: 'AES256-SHA', mac: 'SHA1' },
      { name: 'AES256-SHA384', mac: 'SHA384', exchanges: ECDHE },
      { name: 'AES256-SHA256', mac: 'SHA256', exchanges: CLASSIC },
    ],
  ],
  [
    'AES-128-CBC',
    [
      { name: 'AES128-SHA', mac: 'SHA1' },
      { name: 'AES128-SHA256', mac: 'SHA256' },
    ],
  ],
  [
    'CAMELLIA-256-CBC',
    [
      { name: 'CAMELLIA256-SHA', mac: 'SHA1', exchanges: CLASSIC },
      { name: 'CAMELLIA256-SHA384', mac: 'SHA384', exchanges: ECDHE },
      { name: 'CAMELLIA256-SHA256', mac: 'SHA256', exchanges: CLASSIC },
    ],
  ],
  [
    'CAMELLIA-128-CBC',
    [
      { name: 'CAMELLIA128-SHA', mac: 'SHA1', exchanges: CLASSIC },
      { name: 'CAMELLIA128-SHA256', mac: 'SHA256' },
    ],
  ],
]);

/** TLS 1.3 suites of each cipher. */
export const SUITES_13: ReadonlyMap<string, string> = new Map([
  ['AES-256-GCM', 'TLS_AES_256_GCM_SHA384'],
  ['CHACHA20-POLY1305', 'TLS_CHACHA20_POLY1305_SHA256'],
  ['AES-128-GCM', 'TLS_AES_128_GCM_SHA256'],
  ['AES-128-CCM', 'TLS_AES_128_CCM_SHA256'],
  ['AES-128-CCM-8', 'TLS_AES_128_CCM_8_SHA256'],
]);

export const MACS: ReadonlySet<string> = new Set(['AEAD', 'SHA1', 'SHA256', 'SHA384']);

export const GROUPS: ReadonlyMap<string, string> = new Map([
  ['SECP256R1', 'P-256'],
  ['SECP384R1', 'P-384'],
  ['SECP521R1', 'P-521'],
  ['X25519', 'X25519'],
  ['X448', 'X448'],
  ...words('FFDHE2048 FFDHE3072 FFDHE4096 FFDHE6144 FFDHE8192').map((name): [string, string] => [
    name,
    name.toLowerCase(),
  ]),
]);

/** With TLS 1.3 an ECDSA scheme names its curve; OpenSSL has one name for it and its relative of TLS 1.2. */
export const SIGNATURES: ReadonlyMap<string, readonly string[]> = new Map([
  ...words('SHA256 SHA384 SHA512').flatMap((hash): [string, string[]][] => [
    [`RSA-${hash}`, [`RSA+${hash}`]],
    [`RSA-PSS-${hash}`, [`rsa_pss_pss_${hash.toLowerCase()}`]],
    [`RSA-PSS-RSAE-${hash}`, [`rsa_pss_rsae_${hash.toLowerCase()}`]],
    [`ECDSA-${hash}`, [`ECDSA+${hash}`]],
  ]),
  ['RSA-SHA1', ['RSA+SHA1']],
  ['ECDSA-SHA1', ['ECDSA+SHA1']],
  ['ECDSA-SECP256R1-SHA256', []],
  ['ECDSA-SECP384R1-SHA384', []],
  ['ECDSA-SECP521R1-SHA512', []],
  ['EDDSA-ED25519', ['ed25519']],
  ['EDDSA-ED448', ['ed448']],
]);

/** Options after % that OpenSSL follows by itself, or that concern clients or versions that are never offered. */
export const SILENT_OPTIONS: ReadonlySet<string> = new Set(
  words(
    'COMPAT SAFE_RENEGOTIATION PARTIAL_RENEGOTIATION LATEST_RECORD_VERSION SSL3_RECORD_VERSION DUMBFW ' +
      'FALLBACK_SCSV DISABLE_WILDCARDS NO_SHUFFLE_EXTENSIONS STATELESS_COMPRESSION',
  ),
);
