/** The RADIUS codec: what it writes it reads, and whatever a stranger sends gives a value or a RangeError. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AttributeName,
  type AttributeSpec,
  codes,
  dictionary,
  type ValueType,
} from '../../src/plugins/auth-radius/src/dictionary.js';
import {
  hideSalted,
  isReplyGenuine,
  messageAuthenticator,
  revealSalted,
  sealAccess,
  sealReply,
} from '../../src/plugins/auth-radius/src/digest.js';
import { type Attribute, parsePacket, valuesOf } from '../../src/plugins/auth-radius/src/packet.js';

const secret = fc.uint8Array({ minLength: 1, maxLength: 40 });
const authenticator = fc.uint8Array({ minLength: 16, maxLength: 16 });
const names = Object.keys(dictionary) as AttributeName[];
const plain = names.filter((name) => {
  const spec: AttributeSpec = dictionary[name];
  return spec.hidden === undefined && name !== 'Message-Authenticator';
});

const word = (max: number) => fc.integer({ min: 0, max }).map((value) => value.toString(16));
const ipv6 = fc
  .array(word(0xffff), { minLength: 8, maxLength: 8 })
  .map((groups) => new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1));
const byType: Record<ValueType, fc.Arbitrary<Attribute[1]>> = {
  text: fc.string({ unit: 'grapheme', maxLength: 60 }).filter((text) => Buffer.byteLength(text) <= 240),
  octets: fc.uint8Array({ maxLength: 200 }),
  integer: fc.integer({ min: 0, max: 0xffff_ffff }),
  ipv4: fc.ipV4(),
  ipv6,
  'ipv6-prefix': fc
    .tuple(word(0xffff), fc.constantFrom(16, 48, 64, 127, 128))
    .map(([group, length]) =>
      length < 48 ? `2001::/${length}` : `2001:db8:${group === '0' ? '1' : group}::/${length}`,
    ),
};
const attribute = fc
  .constantFrom(...plain)
  .chain((name) => byType[dictionary[name].type].map((value): Attribute => [name, value]));

describe('packets', () => {
  test('every attribute that is written is read, in order', () => {
    fc.assert(
      fc.property(
        fc.array(attribute, { maxLength: 12 }),
        authenticator,
        secret,
        (attributes, random, key) => {
          const packet = parsePacket(sealAccess(codes.accessRequest, 9, random, attributes, key));
          expect(messageAuthenticator(packet, packet.authenticator, key)).toBe('right');
          for (const name of plain) {
            const written = attributes.filter(([each]) => each === name).map(([, value]) => value);
            const read = valuesOf(packet, name);
            expect(read.map(comparable)).toEqual(written.map(comparable));
          }
        },
      ),
    );
  });

  test('any bytes are a packet whose attributes lie within it, or a RangeError', () => {
    const header = fc.tuple(fc.uint8Array({ maxLength: 80 }), fc.boolean()).map(([bytes, sound]) => {
      const packet = Buffer.concat([Buffer.alloc(sound ? 20 : 0, 7), bytes]);
      if (sound) packet.writeUInt16BE(packet.length, 2);
      return packet;
    });
    fc.assert(
      fc.property(header, (bytes) => {
        orRangeError(() => {
          const packet = parsePacket(bytes);
          for (const { offset, value } of packet.attributes)
            expect(offset + value.length).toBeLessThanOrEqual(packet.bytes.length);
          for (const name of names) orRangeError(() => valuesOf(packet, name));
        });
      }),
    );
  });

  test('a reply with any byte changed is not believed', () => {
    fc.assert(
      fc.property(
        fc.array(attribute, { maxLength: 5 }),
        secret,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (attributes, key, place, mask) => {
          const asked = parsePacket(sealAccess(codes.accessRequest, 1, Buffer.alloc(16, 3), [], key));
          const reply = sealReply(codes.accessAccept, asked, attributes, key);
          expect(isReplyGenuine(parsePacket(reply), asked.authenticator, key)).toBe(true);
          const at = place % reply.length;
          reply.writeUInt8(reply.readUInt8(at) ^ mask, at);
          orRangeError(() => {
            expect(isReplyGenuine(parsePacket(reply), asked.authenticator, key)).toBe(false);
          });
        },
      ),
    );
  });
});

test('a salted value comes back with its secret, and whatever comes instead is a value or a RangeError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 239 }), authenticator, secret, (value, random, key) => {
      const hidden = hideSalted(value, random, key);
      expect(Buffer.from(value).equals(revealSalted(hidden, random, key))).toBe(true);
      orRangeError(() => revealSalted(value, random, key));
    }),
  );
});

const comparable = (value: Attribute[1]): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;

function orRangeError(task: () => unknown): void {
  try {
    task();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}
