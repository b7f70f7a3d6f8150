import { describe, expect, it } from 'vitest';
import { isIPv4, isIPv6 } from '../../src/core/util/ip-text.js';
import { suiteName } from '../../src/core/wire/cipher-names.js';
import { clientIdentity, parseConnectRequest } from '../../src/core/wire/connect-request.js';
import { chooseDtls } from '../../src/core/wire/dtls-choice.js';
import { type MtuInput, negotiateMtu } from '../../src/core/wire/mtu.js';
import { parseNetwork } from '../../src/core/wire/networks.js';

const parse = (headers: Record<string, string>) =>
  parseConnectRequest(Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase(), v])));

describe('parseConnectRequest', () => {
  it('has defaults for a bare request', () => {
    expect(parse({})).toEqual({
      hostname: '',
      baseMtu: 0,
      cstpMtu: 0,
      ipv4: true,
      ipv6: true,
      fullIpv6: false,
      dtlsMasterSecret: null,
      dtlsCipherSuites: [],
      cstpEncodings: [],
      dtlsEncodings: [],
      dtls12CipherSuites: [],
    });
  });
  it.each([
    ['laptop', 'laptop'],
    ['laptop.example.com', 'laptop'],
    ['-bad', ''],
    ['a b', ''],
    ['x'.repeat(64), ''],
    ['<script>', ''],
  ])('host name %s is %s', (text, hostname) =>
    expect(parse({ 'X-CSTP-Hostname': text }).hostname).toBe(hostname),
  );
  it('takes an MTU only if it is usable', () => {
    expect(parse({ 'X-CSTP-Base-MTU': '1400' }).baseMtu).toBe(1400);
    expect(parse({ 'X-CSTP-Base-MTU': '65535' }).baseMtu).toBe(0);
    expect(parse({ 'X-CSTP-Base-MTU': '-1' }).baseMtu).toBe(0);
    expect(parse({ 'X-CSTP-MTU': '12x' }).cstpMtu).toBe(0);
  });
  it('reads address families', () => {
    expect(parse({ 'X-CSTP-Address-Type': 'IPv4' })).toMatchObject({ ipv4: true, ipv6: false });
    expect(parse({ 'X-CSTP-Address-Type': '' })).toMatchObject({ ipv4: false, ipv6: false });
  });
  it('takes a master secret of 96 hex digits or none', () => {
    expect(parse({ 'X-DTLS-Master-Secret': 'ab'.repeat(48) }).dtlsMasterSecret).toHaveLength(48);
    expect(parse({ 'X-DTLS-Master-Secret': 'ab'.repeat(47) }).dtlsMasterSecret).toBeNull();
    expect(parse({ 'X-DTLS-Master-Secret': 'zz'.repeat(48) }).dtlsMasterSecret).toBeNull();
  });
});

describe('clientIdentity', () => {
  it('cuts a user agent at 63 bytes and drops long device texts', () => {
    const identity = clientIdentity({
      'user-agent': 'é'.repeat(60),
      'x-anyconnect-identifier-platform': 'p'.repeat(64),
      'x-anyconnect-identifier-devicetype': 'iPhone',
    });
    expect(Buffer.byteLength(identity.userAgent)).toBe(62);
    expect(identity).toMatchObject({ devicePlatform: '', deviceType: 'iPhone', mobile: false });
  });
  it.each(['apple-ios', 'android', 'android-x'])('%s is mobile', (platform) => {
    expect(clientIdentity({ 'x-anyconnect-identifier-platform': platform }).mobile).toBe(true);
  });
});

describe('negotiateMtu', () => {
  const base: MtuInput = {
    configuredMtu: 0,
    deviceMtu: 1500,
    baseMtu: 1500,
    cstpMtu: 1390,
    tcpPathMtu: 1500,
    outerIpv6: false,
    innerIpv6: true,
    dtls: true,
  };
  it.each([
    [{}, 1500, 1434],
    [{ outerIpv6: true }, 1500, 1414],
    [{ dtls: false }, 1500, 1472],
    [{ baseMtu: 1400 }, 1400, 1334],
    [{ configuredMtu: 1420 }, 1420, 1354],
    [{ baseMtu: 0 }, 1484, 1418],
    [{ baseMtu: 500, cstpMtu: 0 }, 1500, 1434],
    [{ baseMtu: 500, cstpMtu: 500 }, 1500, 1434],
    [{ tcpPathMtu: 1450 }, 1450, 1384],
    [{ tcpPathMtu: 100 }, 1280, 1214],
    [{ tcpPathMtu: 100, innerIpv6: false }, 800, 734],
    [{ tcpPathMtu: 0 }, 1500, 1434],
    [{ baseMtu: 900, innerIpv6: false }, 900, 834],
    [{ deviceMtu: 0 }, 1500, 1434],
  ])('%o gives link %i, data %i', (changes, link, data) => {
    expect(negotiateMtu({ ...base, ...changes })).toMatchObject({ link, data, ipv6Fits: data >= 1280 });
  });
  it('may be raised to what the server allows', () => {
    expect(negotiateMtu({ ...base, baseMtu: 1400 }).maxData).toBe(1434);
    expect(negotiateMtu({ ...base, configuredMtu: 1400, baseMtu: 1300 }).maxData).toBe(1334);
  });
});

describe('chooseDtls', () => {
  const all = {
    udp: true,
    psk: true,
    legacy: true,
    matchTls: false,
    suites: null as readonly string[] | null,
  };
  const secret = { 'X-DTLS-Master-Secret': 'ab'.repeat(48) };
  const suite = (headers: Record<string, string>, tls = 'TLS_CHACHA20_POLY1305_SHA256', policy = all) => {
    const choice = chooseDtls(parse(headers), policy, tls);
    return choice?.mode === 'legacy' ? choice.suite.name : (choice?.mode ?? null);
  };
  it('prefers PSK-NEGOTIATE', () => {
    expect(suite({ ...secret, 'X-DTLS-CipherSuite': 'PSK-NEGOTIATE:OC-DTLS1_2-AES256-GCM' })).toBe('psk');
    expect(suite({ 'X-DTLS12-CipherSuite': 'PSK-NEGOTIATE' })).toBe('psk');
    expect(suite({ 'X-DTLS-CipherSuite': 'PSK-NEGOTIATE2' })).toBeNull();
  });
  it('matches the cipher of TLS where that is asked for', () => {
    const match = { ...all, matchTls: true };
    const psk = (tls: string) => chooseDtls(parse({ 'X-DTLS-CipherSuite': 'PSK-NEGOTIATE' }), match, tls);
    expect(psk('TLS_CHACHA20_POLY1305_SHA256')).toEqual({ mode: 'psk', ciphers: 'PSK-CHACHA20-POLY1305' });
    expect(psk('ECDHE-RSA-AES128-GCM-SHA256')).toEqual({ mode: 'psk', ciphers: 'PSK-AES128-GCM-SHA256' });
    expect(psk('ECDHE-RSA-AES256-SHA384')).toBeNull();
    const headers = { ...secret, 'X-DTLS12-CipherSuite': 'AES256-GCM-SHA384' };
    expect(suite(headers, 'TLS_AES_256_GCM_SHA384', match)).toBe('AES256-GCM-SHA384');
    expect(suite(headers, 'TLS_AES_128_GCM_SHA256', match)).toBeNull();
  });
  it('has the ciphers of tls-priorities', () => {
    const only = (suites: string[]) =>
      chooseDtls(parse({ 'X-DTLS-CipherSuite': 'PSK-NEGOTIATE' }), { ...all, suites }, '');
    expect(only(['ECDHE-RSA-AES128-GCM-SHA256', 'TLS_CHACHA20_POLY1305_SHA256'])).toEqual({
      mode: 'psk',
      ciphers: 'PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256',
    });
    expect(only(['ECDHE-RSA-AES128-SHA'])).toBeNull();
  });
  it('takes X-DTLS12 before X-DTLS and the highest priority', () => {
    const headers = {
      ...secret,
      'X-DTLS-CipherSuite': 'OC-DTLS1_2-AES256-GCM',
      'X-DTLS12-CipherSuite': 'AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-SHA',
    };
    expect(suite(headers)).toBe('ECDHE-RSA-AES256-GCM-SHA384');
  });
  it("prefers the TLS channel's cipher", () => {
    const headers = { ...secret, 'X-DTLS12-CipherSuite': 'AES256-GCM-SHA384:AES128-GCM-SHA256' };
    expect(suite(headers, 'ECDHE-RSA-AES128-GCM-SHA256')).toBe('AES128-GCM-SHA256');
    expect(suite(headers, 'TLS_AES_128_GCM_SHA256')).toBe('AES128-GCM-SHA256');
    expect(suite(headers, 'TLS_AES_256_GCM_SHA384')).toBe('AES256-GCM-SHA384');
  });
  it('gives no UDP without a secret, a known suite, or leave', () => {
    const headers = { ...secret, 'X-DTLS-CipherSuite': 'OC-DTLS1_2-AES256-GCM' };
    expect(suite({ 'X-DTLS-CipherSuite': 'OC-DTLS1_2-AES256-GCM' })).toBeNull();
    expect(suite({ ...secret, 'X-DTLS-CipherSuite': 'AES256-SHA:DES-CBC3-SHA' })).toBeNull();
    expect(suite({ ...secret, 'X-DTLS-CipherSuite': 'AES256-GCM-SHA384' })).toBeNull();
    expect(suite(headers, '', { ...all, legacy: false })).toBeNull();
    expect(suite(headers, '', { ...all, udp: false })).toBeNull();
    expect(suite({ 'X-DTLS-CipherSuite': 'PSK-NEGOTIATE' }, '', { ...all, psk: false })).toBeNull();
  });
});

describe('networks', () => {
  it.each([
    ['10.0.0.0/8', { kind: 'ipv4', address: '10.0.0.0', mask: '255.0.0.0' }],
    ['10.0.0.0/255.255.0.0', { kind: 'ipv4', address: '10.0.0.0', mask: '255.255.0.0' }],
    ['10.0.0.1', { kind: 'ipv4', address: '10.0.0.1', mask: '255.255.255.255' }],
    ['0.0.0.0/0', { kind: 'default' }],
    ['default', { kind: 'default' }],
    ['fd00::/32', { kind: 'ipv6', address: 'fd00::', prefix: 32 }],
    ['::/0', { kind: 'default' }],
    ['10.0.0.0/33', null],
    ['fd00::/129', null],
    ['10.0.0', null],
    ['x/8', null],
    ['10.0.0.0/8/8', null],
  ])('%s', (text, network) => expect(parseNetwork(text)).toEqual(network));

  it.each(['::', '::1', 'fd99::8e4f:9a7c:c09f:b76e:58ef', '1:2:3:4:5:6:7:8', '::ffff:1.2.3.4', '1::8'])(
    '%s is IPv6',
    (text) => expect(isIPv6(text)).toBe(true),
  );
  it.each([
    '',
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    'g::',
    '1.2.3.4',
    '12345::',
    '1.2.3.4::',
  ])('%s is not IPv6', (text) => expect(isIPv6(text)).toBe(false));
  it.each(['256.1.1.1', '1.2.3', '01.2.3.4', '1.2.3.4.5', ''])('%s is not IPv4', (text) =>
    expect(isIPv4(text)).toBe(false),
  );
});

describe('suiteName', () => {
  const tls13 = { version: 'TLSv1.3', group: 'X25519', signatureScheme: 0x0804 };
  it.each([
    [
      { ...tls13, cipher: 'TLS_AES_256_GCM_SHA384' },
      '(TLS1.3)-(ECDHE-X25519)-(RSA-PSS-RSAE-SHA256)-(AES-256-GCM)',
    ],
    [
      { ...tls13, cipher: 'TLS_CHACHA20_POLY1305_SHA256', signatureScheme: 0x0403, group: 'secp256r1' },
      '(TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(CHACHA20-POLY1305)',
    ],
    [
      {
        version: 'TLSv1.2',
        cipher: 'ECDHE-RSA-AES256-GCM-SHA384',
        group: 'prime256v1',
        signatureScheme: 0x0401,
      },
      '(TLS1.2)-(ECDHE-SECP256R1)-(RSA-SHA256)-(AES-256-GCM)',
    ],
    [
      {
        version: 'TLSv1.2',
        cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256',
        group: 'x25519',
        signatureScheme: 0x0403,
      },
      '(TLS1.2)-(ECDHE-X25519)-(ECDSA-SHA256)-(AES-128-GCM)',
    ],
    [
      { version: 'DTLSv1.2', cipher: 'PSK-AES256-GCM-SHA384', group: '', signatureScheme: 0 },
      '(DTLS1.2)-(PSK)-(AES-256-GCM)',
    ],
    [
      { version: 'DTLSv1.2', cipher: 'AES256-GCM-SHA384', group: '', signatureScheme: 0 },
      '(DTLS1.2)-(RSA)-(AES-256-GCM)',
    ],
    [
      { version: 'DTLSv1.2', cipher: 'ECDHE-RSA-AES256-GCM-SHA384', group: '', signatureScheme: 0 },
      '(DTLS1.2)-(ECDHE-RSA)-(AES-256-GCM)',
    ],
    [
      { version: 'TLSv1.2', cipher: 'ECDHE-RSA-AES128-SHA', group: 'x25519', signatureScheme: 0x0401 },
      '(TLS1.2)-(ECDHE-X25519)-(RSA-SHA256)-(AES-128-CBC)-(SHA1)',
    ],
  ])('%o', (info, name) => expect(suiteName(info)).toBe(name));
});
