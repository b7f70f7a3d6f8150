/** Sockets in another network namespace (listen-netns). */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { socketsIn } from '../../src/core/main/netns.js';
import { native } from '../../src/core/native/index.js';

const namespace = `ocvpn-ln-${process.pid}`;
beforeAll(() => {
  execFileSync('ip', ['netns', 'add', namespace]);
  execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
});
afterAll(() => {
  execFileSync('ip', ['netns', 'del', namespace]);
});

const PORT = 47_113;
const here = () => execFileSync('ss', ['-Hlntu', 'sport', '=', String(PORT)], { encoding: 'utf8' });
const inside = () =>
  execFileSync('ip', ['netns', 'exec', namespace, 'ss', '-Hlntu', 'sport', '=', String(PORT)], {
    encoding: 'utf8',
  });

test('sockets are made there, and everything else stays here', () => {
  const io = socketsIn(native.io, namespace);
  const fds = [io.listenTcp('127.0.0.1', PORT, 8), io.bindUdp('127.0.0.1', PORT)];
  expect(inside().trim().split('\n')).toHaveLength(2);
  expect(here()).toBe('');
  for (const fd of fds) io.close(fd);
  // Back again: a socket of this namespace.
  const own = native.io.listenTcp('127.0.0.1', PORT, 8);
  expect(inside()).toBe('');
  native.io.close(own);
});

test('a namespace that is not there is named', () => {
  expect(() => socketsIn(native.io, 'no-such-ns').listenTcp('127.0.0.1', PORT, 8)).toThrow('no-such-ns');
  expect(socketsIn(native.io, '')).toBe(native.io);
});
