import { expect, test } from 'vitest';
import { TlsTicketKeys } from '../../src/core/main/tls-ticket-keys.js';

const KEY = 80;

function keyring({ lifetimeSec = 300 } = {}) {
  const options = { sec: 1000, lifetimeSec, generation: 0, nowMs: () => options.sec * 1000 };
  const keys = new TlsTicketKeys(options);
  const at = (sec: number): string[] => {
    options.sec = 1000 + sec;
    const all = Buffer.from(keys.current().keys);
    return Array.from({ length: all.length / KEY }, (_, i) => all.toString('hex', i * KEY, (i + 1) * KEY));
  };
  return { options, keys, at };
}

test('a key seals for ten minutes and opens for ten more', () => {
  const { at } = keyring();
  const [first] = at(0);
  expect(at(599)).toEqual([first]);
  const [second, ...older] = at(601);
  expect(older).toEqual([first]);
  expect(second).not.toBe(first);
  expect(at(1199)).toEqual([second, first]);
  expect(at(1200)).toEqual([second]);
});

test('nothing is left of keys that nobody asked for in the meantime', () => {
  const { at } = keyring();
  const [first] = at(0);
  const late = at(3600);
  expect(late).toHaveLength(1);
  expect(late).not.toContain(first);
});

test('another configuration begins with a new key', () => {
  const { at, options } = keyring();
  const [first] = at(0);
  options.generation++;
  const fresh = at(1);
  expect(fresh).toHaveLength(1);
  expect(fresh).not.toContain(first);
  expect(at(2)).toEqual(fresh);
});

test('sessions live as long as cookies, and never longer than a key seals', () => {
  expect(keyring({ lifetimeSec: 60 }).keys.current().lifetimeSec).toBe(60);
  expect(keyring({ lifetimeSec: 86_400 }).keys.current().lifetimeSec).toBe(600);
});
