/** The HMAC that binds a login to the connection that main accepted. */
import { createHmac, createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { workerHmac, workerHmacMatches } from '../../src/core/ipc/worker-hmac.js';

const KEY = createSecretKey(Buffer.alloc(32, 1));

test('main and secmod of different builds must agree: the encoding is fixed', () => {
  const bytes = Buffer.concat([
    Buffer.from('ocvpn worker origin v1\0'),
    Buffer.from('0009', 'hex'),
    Buffer.from('192.0.2.1'),
    Buffer.from('000b', 'hex'),
    Buffer.from('2001:db8::1'),
    Buffer.from('00000000713fb300', 'hex'),
  ]);
  const origin = { origRemoteIp: '192.0.2.1', ourIp: '2001:db8::1', sessionStartTime: 1_900_000_000 };
  expect(workerHmac(KEY, origin)).toEqual(createHmac('sha256', KEY).update(bytes).digest());
});

test('no two origins have the same HMAC, however their texts join up', () => {
  const text = fc.string({ unit: fc.constantFrom('1', '.', ':'), maxLength: 4 });
  const origin = fc.record({ origRemoteIp: text, ourIp: text, sessionStartTime: fc.nat({ max: 3 }) });
  fc.assert(
    fc.property(origin, origin, (a, b) => {
      const same = JSON.stringify(a) === JSON.stringify(b);
      expect(workerHmacMatches(KEY, a, workerHmac(KEY, b))).toBe(same);
    }),
    { numRuns: 2000 },
  );
});

test('another key, a bit that differs and another length do not match', () => {
  const origin = { origRemoteIp: '192.0.2.1', ourIp: '192.0.2.2', sessionStartTime: 1 };
  const hmac = workerHmac(KEY, origin);
  expect(workerHmacMatches(KEY, origin, hmac)).toBe(true);
  expect(workerHmacMatches(createSecretKey(Buffer.alloc(32, 2)), origin, hmac)).toBe(false);
  expect(workerHmacMatches(KEY, origin, hmac.subarray(1))).toBe(false);
  expect(
    workerHmacMatches(
      KEY,
      origin,
      hmac.map((byte, index) => (index === 31 ? byte ^ 1 : byte)),
    ),
  ).toBe(false);
});
