/** Whatever a stranger sends: the codecs return a value of their type, and what they return keeps its bounds. */

import { isIPv4 as nodeIsIPv4, isIPv6 as nodeIsIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isIPv4, isIPv6 } from '../../src/core/util/ip-text.js';
import { parseAuthBody } from '../../src/core/wire/auth-body.js';
import { clientIdentity, parseConnectRequest } from '../../src/core/wire/connect-request.js';
import { encodeCookie, parseCookies } from '../../src/core/wire/cookies.js';
import { chooseDtls } from '../../src/core/wire/dtls-choice.js';
import { classifyDatagram } from '../../src/core/wire/dtls-hello.js';
import { negotiateMtu } from '../../src/core/wire/mtu.js';
import { parseProxyHeader } from '../../src/core/wire/proxy-protocol.js';
import { escapeXml, unescapeXml } from '../../src/core/wire/xml-text.js';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const fragments = [
  '<?xml',
  '<username>',
  '</username>',
  '<password',
  '>',
  '</',
  '_password>',
  '&#x',
  ';',
  '&amp;',
  'password=',
  '&',
  '=',
  '%',
  '+',
];
const body = fc
  .array(fc.oneof(fc.constantFrom(...fragments), fc.string()), { maxLength: 30 })
  .map((parts) => parts.join(''));
const headerNames = [
  'x-cstp-hostname',
  'x-cstp-base-mtu',
  'x-cstp-mtu',
  'x-cstp-address-type',
  'x-dtls-master-secret',
  'x-dtls-ciphersuite',
  'x-dtls12-ciphersuite',
  'user-agent',
  'x-anyconnect-identifier-platform',
  'cookie',
] as const;
const headers = fc.dictionary(
  fc.constantFrom(...headerNames),
  fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 200 })),
);

describe('wire', () => {
  it('reads any login body', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          bytes,
          body.map((text) => Buffer.from(text)),
        ),
        (input) => {
          const { username, password } = parseAuthBody(input);
          expect(username === null || typeof username === 'string').toBe(true);
          expect((password?.length ?? 0) <= input.length).toBe(true);
        },
      ),
    );
  });

  it('gives an escaped password back', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((s) => ![...s].some((c) => c < ' '));
    fc.assert(
      fc.property(text, (password) => {
        expect(unescapeXml(Buffer.from(escapeXml(password))).toString()).toBe(password);
        const xml = parseAuthBody(Buffer.from(`<?xml?><password>${escapeXml(password)}</password>`));
        expect(xml.password?.toString()).toBe(password);
        const form = parseAuthBody(Buffer.from(`username=u&password=${encodeURIComponent(password)}`));
        expect(form.password?.toString()).toBe(password);
      }),
    );
  });

  it('reads any header', () => {
    fc.assert(
      fc.property(headers, (input) => {
        const request = parseConnectRequest(input);
        const identity = clientIdentity(input);
        expect(request.baseMtu).toBeLessThanOrEqual(16384);
        expect(Buffer.byteLength(identity.userAgent)).toBeLessThanOrEqual(63);
        expect(request.hostname).toMatch(/^[A-Za-z0-9_-]{0,63}$/);
        const choice = chooseDtls(
          request,
          { udp: true, psk: true, legacy: true, matchTls: false, suites: null },
          '',
        );
        if (choice?.mode === 'legacy') expect(choice.masterSecret).toHaveLength(48);
      }),
    );
  });

  it('takes a cookie only if it is 32 bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (value) => {
        const { webvpn } = parseCookies(`a=b; webvpn=${encodeCookie(value)}`);
        expect(webvpn).toEqual(value.length === 32 ? Buffer.from(value) : null);
      }),
    );
  });

  it('sorts any datagram', () => {
    const start = fc.constantFrom(
      Buffer.alloc(0),
      Buffer.from('16fefd', 'hex'),
      Buffer.from('17fefd', 'hex'),
    );
    fc.assert(
      fc.property(start, bytes, (head, tail) => {
        const result = classifyDatagram(Buffer.concat([head, tail]));
        if (result.kind === 'hello') expect(result.id.length).toBeLessThanOrEqual(32);
      }),
    );
  });

  it('reads any PROXY header, and never more than it was given', () => {
    const start = fc.constantFrom(
      '',
      '0d0a0d0a000d0a515549540a',
      '0d0a0d0a000d0a515549540a2111',
      Buffer.from('PROXY TCP4 ').toString('hex'),
    );
    fc.assert(
      fc.property(start, bytes, (head, tail) => {
        const data = Buffer.concat([Buffer.from(head, 'hex'), tail]);
        const result = parseProxyHeader(data);
        if (result.status === 'done') expect(result.consumed).toBeLessThanOrEqual(data.length);
      }),
    );
  });

  it('agrees with node:net on addresses', () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:.]{0,20}$/));
    fc.assert(
      fc.property(text, (address) => {
        expect(isIPv4(address)).toBe(nodeIsIPv4(address));
        expect(isIPv6(address)).toBe(nodeIsIPv6(address));
      }),
      { numRuns: 500 },
    );
  });

  it('negotiates an MTU between the minimum and what the server allows', () => {
    const mtu = fc.integer({ min: 0, max: 16384 });
    const input = fc.record({
      configuredMtu: fc.oneof(fc.constant(0), fc.integer({ min: 1280, max: 16384 })),
      deviceMtu: fc.constant(1500),
      baseMtu: mtu,
      cstpMtu: mtu,
      tcpPathMtu: mtu,
      outerIpv6: fc.boolean(),
      innerIpv6: fc.boolean(),
      dtls: fc.boolean(),
    });
    fc.assert(
      fc.property(input, (given) => {
        const { link, data, maxData } = negotiateMtu(given);
        expect(link).toBeGreaterThanOrEqual(given.innerIpv6 ? 1280 : 800);
        expect(link).toBeLessThanOrEqual(given.configuredMtu || 1500);
        expect(data).toBeLessThan(link);
        expect(maxData).toBeGreaterThanOrEqual(data);
      }),
    );
  });
});
