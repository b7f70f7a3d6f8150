import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/ipc/bytes.js';
import { decodeBody, encodeBody, type RawBody } from '../../src/core/ipc/codec.js';
import { list, str, u32 } from '../../src/core/ipc/fields.js';
import { encodeFrame, type Frame, FrameReader, HEADER_BYTES } from '../../src/core/ipc/frame.js';
import { type RegisteredMessage, registry } from '../../src/core/ipc/registry.js';
import { IpcViolation } from '../../src/core/ipc/violation.js';
import { bodyOf } from './ipc-arbitraries.js';

const encode = (message: RegisteredMessage, body: RawBody) =>
  encodeFrame(message, 7, body).subarray(HEADER_BYTES);
const decode = (message: RegisteredMessage, bytes: Buffer) =>
  decodeBody(message.spec.body, bytes, message.name);

/** The decoded body, or undefined for a violation; any other error fails the test. */
function decodeOrViolation(message: RegisteredMessage, bytes: Buffer): RawBody | undefined {
  try {
    return decode(message, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(IpcViolation);
    return undefined;
  }
}

describe.each(registry.map((message) => ({ name: message.name, message })))('$name', ({ message }) => {
  const bodies = bodyOf(message.spec.body);
  const isEmpty = Object.keys(message.spec.body).length === 0;

  test('every body comes back equal', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        expect(decode(message, encode(message, body))).toEqual(body);
      }),
      { numRuns: 40 },
    );
  });

  test.skipIf(isEmpty)('every cut is a violation', () => {
    fc.assert(
      fc.property(bodies, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (body, part) => {
        const bytes = encode(message, body);
        const cut = bytes.subarray(0, Math.floor(part * bytes.length));
        expect(decodeOrViolation(message, cut)).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  test('every extra byte is a violation', () => {
    fc.assert(
      fc.property(bodies, fc.uint8Array({ minLength: 1, maxLength: 16 }), (body, extra) => {
        const bytes = Buffer.concat([encode(message, body), extra]);
        expect(decodeOrViolation(message, bytes)).toBeUndefined();
      }),
      { numRuns: 20 },
    );
  });

  test('a changed byte is a violation or another valid body with exactly these bytes', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), fc.integer({ min: 1, max: 255 }), (body, position, change) => {
        const bytes = encode(message, body);
        if (bytes.length === 0) return;
        const at = position % bytes.length;
        bytes[at] = (bytes[at] as number) ^ change;
        const changed = decodeOrViolation(message, bytes);
        if (changed) expect(encode(message, changed)).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });

  test('noise is a violation or a valid body with exactly these bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const bytes = Buffer.from(noise);
        const body = decodeOrViolation(message, bytes);
        if (body) expect(encode(message, body)).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });
});

describe('text', () => {
  const fields = { before: u32(), texts: list(str(20_000), 8) };
  const write = (texts: readonly string[]): Buffer => {
    const writer = new ByteWriter();
    encodeBody(writer, fields, { before: 7, texts }, 'X');
    return writer.finish();
  };

  test.each([
    ['ASCII', 'alice'],
    ['a mark of order, which stays', '\ufeffalice'],
    ['the replacement character itself', 'a\ufffdb'],
    ['units of one to four bytes', 'aé€😀'],
    ['longer than the room of a writer', '€'.repeat(6000)],
  ])('%s comes back', (_name, text) => {
    const texts = [text, '', text];
    expect(decodeBody(fields, write(texts), 'X')).toEqual({ before: 7, texts });
    // What is left in the room of an earlier message is not in the next one.
    expect(write(['x']).includes(Buffer.from('alice'))).toBe(false);
  });

  test.each([['ff'], ['c080'], ['eda080'], ['e282'], ['f4908080'], ['6180']])('%s is not UTF-8', (hex) => {
    const good = write(['x'.repeat(hex.length / 2)]);
    const bytes = Buffer.concat([good.subarray(0, good.length - hex.length / 2), Buffer.from(hex, 'hex')]);
    expect(() => decodeBody(fields, bytes, 'X')).toThrow(
      expect.objectContaining({ kind: 'utf8', message: 'X.texts[0] is not UTF-8' }),
    );
  });

  test('what is too long or half a character is refused, by its path', () => {
    expect(() => write(['', '€'.repeat(7000)])).toThrow('X.texts[1] has length 21000, allowed is 0 to 20000');
    expect(() => write(['a\ud800'])).toThrow('X.texts[0] is not well-formed Unicode');
  });
});

describe('stream of frames', () => {
  const frames = fc
    .array(
      fc
        .constantFrom(...registry)
        .chain((message) => fc.tuple(fc.constant(message), bodyOf(message.spec.body))),
      {
        minLength: 1,
        maxLength: 6,
      },
    )
    .map((parts) =>
      parts.map(([message, body], index) => ({ message, frame: encodeFrame(message, index, body) })),
    );

  test('the same frames come out however the stream is cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sent, sizes) => {
        const stream = Buffer.concat(sent.map(({ frame }) => frame));
        const received: Frame[] = [];
        const reader = new FrameReader({
          onHeader: () => ({ maxFds: 0 }),
          onFrame: (frame) => received.push(frame),
          closeFd: () => expect.unreachable('no descriptors here'),
        });
        let turn = 0;
        for (let offset = 0; offset < stream.length; turn++) {
          const size = sizes[turn % sizes.length] as number;
          reader.push(stream.subarray(offset, offset + size), []);
          offset += size;
        }
        expect(reader.partial).toBe(false);
        expect(received.map((frame) => [frame.id, frame.correlation, frame.body])).toEqual(
          sent.map(({ message, frame }, index) => [message.spec.id, index, frame.subarray(HEADER_BYTES)]),
        );
      }),
      { numRuns: 100 },
    );
  });
});
