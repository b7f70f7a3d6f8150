/** KDC-PROXY-MESSAGE: what is taken, what is refused, and that no bytes are too strange. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { kdcProxyReply, parseKdcProxyMessage } from '../../src/core/wire/kkdcp.js';

/** One DER element, its length in the shortest form. */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const hex = content.length.toString(16);
  const length = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
  const prefix = content.length < 0x80 ? [content.length] : [0x80 + length.length, ...length];
  return Buffer.concat([Buffer.from([tag, ...prefix]), content]);
}

const framed = (message: Uint8Array, length = message.length): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, message]);
};
const request = (size = 10, tag = 0x6a): Buffer => Buffer.alloc(size, 7).fill(tag, 0, 1);
const kerbMessage = (message: Uint8Array) => der(0xa0, der(0x04, framed(message)));
const realm = der(0xa1, der(0x1b, Buffer.from('LAB.TEST')));
const hint = der(0xa2, der(0x02, Buffer.from([1])));

describe('a request', () => {
  test.each([
    ['of one byte for its length', 10],
    ['of two', 200],
    ['of three', 300],
    ['of the largest size', 65_536],
  ])('%s', (_, size) => {
    expect(parseKdcProxyMessage(der(0x30, kerbMessage(request(size))))).toEqual({
      message: request(size),
      realm: '',
    });
  });

  test.each([
    ['a realm', [realm], 'LAB.TEST'],
    ['a realm and a hint', [realm, hint], 'LAB.TEST'],
    ['a hint', [hint], ''],
  ])('with %s', (_, more, name) => {
    expect(parseKdcProxyMessage(der(0x30, kerbMessage(request(10, 0x6c)), ...more))).toEqual({
      message: request(10, 0x6c),
      realm: name,
    });
  });
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['no sequence', der(0x31, kerbMessage(request()))],
  ['bytes behind it', Buffer.concat([der(0x30, kerbMessage(request())), Buffer.from([0])])],
  ['a wrong length in front of the message', der(0x30, der(0xa0, der(0x04, framed(request(), 9))))],
  ['no message', der(0x30, der(0xa0, der(0x04, framed(Buffer.alloc(0)))))],
  ['something that is no request for a ticket', der(0x30, kerbMessage(request(10, 0x6e)))],
  ['a message that is too large', der(0x30, kerbMessage(request(65_537)))],
  ['an unknown field', der(0x30, kerbMessage(request()), der(0xa3, der(0x02, Buffer.from([1]))))],
  ['fields in the wrong order', der(0x30, kerbMessage(request()), hint, realm)],
  ['a realm of another type', der(0x30, kerbMessage(request()), der(0xa1, der(0x0c, Buffer.from('R'))))],
  ['an indefinite length', Buffer.from([0x30, 0x80, 0, 0])],
  ['a length of four bytes', Buffer.from([0x30, 0x84, 0, 0, 0, 0])],
])('%s is refused', (_, body) => {
  expect(parseKdcProxyMessage(body)).toBeNull();
});

test('no bytes make it fail, and none of a request may be missing', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => parseKdcProxyMessage(bytes) === null));
  const whole = der(0x30, kerbMessage(request(140)), realm);
  for (let size = 0; size < whole.length; size++)
    expect(parseKdcProxyMessage(whole.subarray(0, size))).toBeNull();
});

test.each([1, 127, 128, 300, 65_000])('a reply of %d bytes is in the same form', (size) => {
  const message = request(size);
  expect(parseKdcProxyMessage(kdcProxyReply(message))).toEqual({ message, realm: '' });
});
