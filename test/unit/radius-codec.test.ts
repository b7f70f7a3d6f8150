/** The RADIUS codec against the examples of the RFCs, and against packets that are none. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { codes } from '../../src/plugins/auth-radius/src/dictionary.js';
import {
  hidePassword,
  hideSalted,
  isReplyGenuine,
  isRequestGenuine,
  messageAuthenticator,
  revealSalted,
  sealAccess,
  sealReply,
  sealRequest,
} from '../../src/plugins/auth-radius/src/digest.js';
import { integerOf, parsePacket, textsOf, valuesOf } from '../../src/plugins/auth-radius/src/packet.js';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const secret = Buffer.from('xyzzy5461');

/** RFC 2865 §7.1: nemo telnets to port 3. */
const request = hex(`01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12
  0d be 70 8d 93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03`);
const accept = hex(`02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01
  0f 06 00 00 00 00 0e 06 c0 a8 01 03`);
/** RFC 5997 §6.1. */
const statusRequest = hex(`0c da 00 26 8a 54 f4 68 6f b3 94 c5 28 66 e3 02 18 5d 06 23
  50 12 5a 66 5e 2e 1e 84 11 f3 e2 43 82 20 97 c8 4f a3`);
const statusReply = hex('02 da 00 14 ef 0d 55 2a 4b f2 d6 93 ec 2b 6f e8 b5 41 1d 66');

describe('examples of the RFCs', () => {
  test('the password of RFC 2865 §7.1 is hidden as there', () => {
    const { authenticator, attributes } = parsePacket(request);
    expect(hidePassword(Buffer.from('arctangent'), authenticator, secret)).toEqual(attributes[1]?.value);
    expect(textsOf(parsePacket(request), 'User-Name')).toEqual(['nemo']);
    expect(textsOf(parsePacket(request), 'NAS-IP-Address')).toEqual(['192.168.1.16']);
  });

  test('its Access-Accept is genuine; with any bit changed it is not', () => {
    const { authenticator } = parsePacket(request);
    expect(isReplyGenuine(parsePacket(accept), authenticator, secret)).toBe(true);
    expect(isReplyGenuine(parsePacket(accept), authenticator, Buffer.from('xyzzy5462'))).toBe(false);
    for (const at of [0, 1, 4, 19, 25, accept.length - 1]) {
      const forged = Buffer.from(accept);
      forged.writeUInt8(forged.readUInt8(at) ^ 1, at);
      expect(isReplyGenuine(parsePacket(forged), authenticator, secret)).toBe(false);
    }
  });

  test('the Status-Server of RFC 5997 §6.1 is built byte by byte, and its reply is genuine', () => {
    const { authenticator } = parsePacket(statusRequest);
    expect(sealAccess(codes.statusServer, 0xda, authenticator, [], secret)).toEqual(statusRequest);
    expect(messageAuthenticator(parsePacket(statusRequest), authenticator, secret)).toBe('right');
    expect(isReplyGenuine(parsePacket(statusReply), authenticator, secret)).toBe(true);
  });
});

describe('digests', () => {
  test('an Accounting-Request proves its secret', () => {
    const packet = parsePacket(sealRequest(codes.accountingRequest, 7, [['User-Name', 'alice']], secret));
    expect(isRequestGenuine(packet, secret)).toBe(true);
    expect(isRequestGenuine(packet, Buffer.from('other'))).toBe(false);
  });

  test('a reply with Message-Authenticator: right, wrong, absent, doubled', () => {
    const asked = parsePacket(request);
    const reply = parsePacket(sealReply(codes.accessReject, asked, [['Reply-Message', 'no']], secret));
    expect(reply.attributes[0]).toMatchObject({ code: 80 });
    expect(isReplyGenuine(reply, asked.authenticator, secret)).toBe(true);
    expect(messageAuthenticator(reply, asked.authenticator, secret)).toBe('right');
    expect(messageAuthenticator(reply, asked.authenticator, Buffer.from('other'))).toBe('wrong');
    expect(messageAuthenticator(parsePacket(accept), asked.authenticator, secret)).toBe('absent');
    const twice = Buffer.concat([reply.bytes, reply.bytes.subarray(20, 38)]);
    twice.writeUInt16BE(twice.length, 2);
    expect(messageAuthenticator(parsePacket(twice), asked.authenticator, secret)).toBe('wrong');
  });

  test.each([0, 1, 15, 16, 17, 200])(
    'a salted value of %i bytes comes back; broken ones are refused',
    (length) => {
      const [value, authenticator] = [randomBytes(length), randomBytes(16)];
      const hidden = hideSalted(value, authenticator, secret);
      expect(revealSalted(hidden, authenticator, secret)).toEqual(value);
      expect(() => revealSalted(hidden.subarray(0, -1), authenticator, secret)).toThrow(RangeError);
    },
  );

  test('a password of 129 bytes does not fit', () => {
    expect(hidePassword(Buffer.alloc(128), randomBytes(16), secret)).toHaveLength(128);
    expect(() => hidePassword(Buffer.alloc(129), randomBytes(16), secret)).toThrow(RangeError);
  });
});

describe('packets', () => {
  const values = [
    ['NAS-IPv6-Address', '2001:db8::5'],
    ['Framed-IPv6-Prefix', '2001:db8:1::/48'],
    ['Framed-IP-Address', '192.0.2.7'],
    ['MS-Primary-DNS-Server', '192.0.2.53'],
    ['RP-Upstream-Speed-Limit', 4_294_967_295],
    ['Reply-Message', 'grüße'],
  ] as const;

  test.each(values)('%s: what is written is read', (name, value) => {
    const packet = parsePacket(sealAccess(codes.accessRequest, 1, randomBytes(16), [[name, value]], secret));
    expect(valuesOf(packet, name)).toEqual([value]);
  });

  test.each([
    ['shorter than a header', accept.subarray(0, 19)],
    ['shorter than it says', accept.subarray(0, -1)],
    ['an attribute beyond the end', withByte(accept, 33, 7)],
    ['an attribute of one byte', withByte(accept, 33, 1)],
    ['an attribute of no bytes', withByte(accept, 33, 0)],
    ['a length below the header', withByte(accept, 3, 19)],
  ])('%s is refused', (_, bytes) => {
    expect(() => parsePacket(bytes)).toThrow(RangeError);
  });

  test('what lies beyond the length is padding', () => {
    expect(parsePacket(Buffer.concat([accept, Buffer.alloc(9)])).bytes).toEqual(accept);
  });

  test('an integer of three bytes and a prefix with host bits are errors, not values', () => {
    const broken = (attribute: string): Buffer => {
      const packet = Buffer.concat([accept.subarray(0, 20), hex(attribute)]);
      packet.writeUInt16BE(packet.length, 2);
      return packet;
    };
    expect(() => integerOf(parsePacket(broken('1b 05 00 00 01')), 'Session-Timeout')).toThrow(
      /Session-Timeout/,
    );
    expect(() => textsOf(parsePacket(broken('61 05 00 04 ff')), 'Framed-IPv6-Prefix')).toThrow(/beyond/);
  });
});

function withByte(packet: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(packet);
  copy.writeUInt8(value, at);
  return copy;
}
