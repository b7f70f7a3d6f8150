/** GnuTLS priority strings: the same suites in the same order as GnuTLS itself, and what cannot be mapped by name. */
import { execFileSync } from 'node:child_process';
import { createSecureContext } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { mapPriority, type TlsSettings } from '../../src/core/config/gnutls-priority.js';

function mapped(priority: string): TlsSettings {
  const settings = mapPriority(priority);
  if (typeof settings === 'string') throw new Error(settings);
  return settings;
}

const SUITES_13 =
  'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256';
/** Suite numbers ("0xc0,0x2c") that OpenSSL has for its names. */
const numbers = new Map(
  execFileSync('openssl', ['ciphers', '-V', '-ciphersuites', SUITES_13, 'ALL:COMPLEMENTOFALL'], {
    encoding: 'utf8',
  })
    .split('\n')
    .map((line) => /^\s*(0x\w\w),(0x\w\w) - (\S+)/.exec(line))
    .flatMap((match): [string, string][] =>
      match ? [[match[3] ?? '', `${match[1]},${match[2]}`.toLowerCase()]] : [],
    ),
);

/** What gnutls-cli says about a priority string, of TLS 1.2 and 1.3. */
function gnutls(priority: string) {
  const text = execFileSync('gnutls-cli', ['--list', '--priority', priority], { encoding: 'utf8' });
  const suites = [...text.matchAll(/^TLS_\S+\s+(0x\w\w), (0x\w\w)\s/gm)].map(([, a, b]) => `${a},${b}`);
  const list = (name: string): string[] =>
    (new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? '').split(', ').filter((word) => word !== 'none');
  return { suites, groups: list('Groups'), versions: list('Protocols') };
}

const MAPPED = [
  'NORMAL',
  'NORMAL:%SERVER_PRECEDENCE:%COMPAT',
  'NORMAL:%SERVER_PRECEDENCE:%COMPAT:-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-TLS1.3',
  'SECURE128',
  'SECURE192',
  'SECURE256',
  'PERFORMANCE',
  'PFS',
  'LEGACY',
  'SUITEB128',
  'SUITEB192',
  'NORMAL:-RSA:-DHE-RSA',
  'NORMAL:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM',
  'NORMAL:-CIPHER-ALL:+AES-128-CBC:+MAC-ALL',
  'NORMAL:-AEAD',
  'NORMAL:+SHA256:+SHA384',
  'NORMAL:+CAMELLIA-256-CBC:+CAMELLIA-128-CBC:+SHA256:+SHA384',
  'NORMAL:+AES-128-CCM-8:+AES-256-CCM-8',
  'NORMAL:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1',
  'NORMAL:-VERS-ALL:+VERS-TLS1.3',
  'NORMAL:!VERS-TLS1.3:!AES-128-CBC',
  'SECURE256:+SECURE128',
  'NONE:+VERS-TLS1.2:+AES-256-GCM:+AEAD:+ECDHE-RSA:+GROUP-ALL:+SIGN-ALL:+CTYPE-X509:+COMP-NULL',
];

describe('the same as GnuTLS', () => {
  test.each(MAPPED)('%s', (priority) => {
    const ours = mapped(priority);
    const theirs = gnutls(priority);
    const names = [...ours.cipherSuites.split(':'), ...ours.cipherList.split(':')].filter(Boolean);
    expect(names.map((name) => numbers.get(name))).toEqual(theirs.suites);
    const groups = ours.groups
      .split(':')
      .map((name) => `GROUP-${name.replace('P-', 'SECP').toUpperCase()}`)
      .map((name) => (/SECP\d+$/.test(name) ? `${name}R1` : name));
    expect(groups).toEqual(theirs.groups);
    expect(ours.warnings).toEqual([]);
    const has = (version: string): boolean => theirs.versions.includes(version);
    if (!has('VERS-TLS1.3')) expect(ours.maxVersion).toBe('TLSv1.2');
    if (!has('VERS-TLS1.2')) expect(ours.minVersion).toBe('TLSv1.3');
  });

  test.each(MAPPED)('OpenSSL takes what comes out of %s', (priority) => {
    const { cipherList, cipherSuites, groups, signatureAlgorithms, minVersion, maxVersion } =
      mapped(priority);
    const ciphers = [cipherSuites, cipherList].filter(Boolean).join(':');
    const context = { ciphers, ecdhCurve: groups, sigalgs: signatureAlgorithms, minVersion, maxVersion };
    expect(() => createSecureContext(context)).not.toThrow();
  });
});

test('server precedence is an option', () => {
  expect(mapped('NORMAL').serverPreference).toBe(false);
  expect(mapped('NORMAL:%SERVER_PRECEDENCE').serverPreference).toBe(true);
});

test.each([
  ['NORMAL:+VERS-TLS1.0', ['+VERS-TLS1.0 has no counterpart']],
  ['NORMAL:+3DES-CBC:+ARCFOUR-128', ['+3DES-CBC has no counterpart', '+ARCFOUR-128 has no counterpart']],
  ['NORMAL:-3DES-CBC:-ARCFOUR-128:-VERS-SSL3.0:-MD5:-DHE-DSS', []],
  ['NORMAL:%NO_TICKETS', ['%NO_TICKETS has no counterpart']],
  ['NORMAL:-AES-999-GCM', ['-AES-999-GCM has no counterpart']],
  ['NORMAL:-SECURE192', ['-SECURE192 has no counterpart']],
  ['NORMAL:gibberish', ['gibberish is not understood']],
  [
    'NORMAL:+ANON-ECDH:+SIGN-DSA-SHA256',
    ['+ANON-ECDH has no counterpart', '+SIGN-DSA-SHA256 has no counterpart'],
  ],
  ['@SYSTEM', ['@SYSTEM is a priority of the GnuTLS on this system, NORMAL is used']],
])('%s: what cannot be mapped is named', (priority, warnings) => {
  expect(mapped(priority).warnings).toEqual(warnings);
});

test.each([
  ['', 'does not begin with one of NORMAL'],
  ['FAST', 'does not begin with one of NORMAL'],
  ['+AES-128-GCM', 'does not begin with one of NORMAL'],
  ['NORMAL:-VERS-ALL', 'leaves no cipher suite'],
  ['NORMAL:-VERS-TLS-ALL:+VERS-TLS1.0', 'leaves no cipher suite'],
  ['NORMAL:-CIPHER-ALL', 'leaves no cipher suite'],
  ['NORMAL:-GROUP-ALL', 'leaves no group'],
])('%j is an error: nobody could connect', (priority, problem) => {
  expect(mapPriority(priority)).toContain(problem);
});
