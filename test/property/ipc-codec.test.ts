import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBody, type RawBody } from '../../src/core/ipc/codec.js';
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
