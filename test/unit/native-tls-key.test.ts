// The private key's secret numbers are in the memory of the process that signs, and in no page of the process
// that speaks TLS with them.
import { type ChildProcess, fork } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestPki } from './native-tls.support.js';

const names = ['rsa', 'ec', 'ed25519'] as const;
const sigalgs = { rsa: 'rsa_pss_rsae_sha256', ec: 'ecdsa_secp256r1_sha256', ed25519: 'ed25519' } as const;
let pki: TestPki;
let server: ChildProcess;
let ports: { port: number; signerPid: number };

beforeAll(async () => {
  pki = new TestPki();
  for (const name of names) pki.issue(name, name);
  const program = fileURLToPath(new URL('./native-tls.server.ts', import.meta.url));
  server = fork(program, [pki.directory, ...names], { execArgv: [] });
  [ports] = (await once(server, 'message')) as [typeof ports];
});

afterAll(async () => {
  const gone = once(server, 'exit');
  server.kill();
  await gone;
  process.kill(ports.signerPid);
  pki.remove();
});

/** First 16 bytes of each secret number, in both byte orders (bignums are little endian), and the PEM text. */
function needles(name: (typeof names)[number]): Map<string, Buffer> {
  const pem = pki.read(`${name}.key`);
  const jwk = createPrivateKey(pem).export({ format: 'jwk' }) as Record<string, string | undefined>;
  const found = new Map<string, Buffer>();
  for (const number of ['d', 'p', 'q', 'dp', 'dq', 'qi']) {
    const value = jwk[number];
    if (value === undefined) continue;
    const bytes = Buffer.from(value, 'base64url');
    found.set(`${name}.${number}`, bytes.subarray(0, 16));
    found.set(`${name}.${number} reversed`, Buffer.from(bytes).reverse().subarray(0, 16));
  }
  const lines = pem.toString().split('\n');
  found.set(
    `${name} PEM`,
    Buffer.from((lines[2]?.startsWith('-') ? lines[1] : lines[2])?.slice(-40) as string),
  );
  return found;
}

/** Readable regions that can hold data of a process: all but pages of unchanged files (proc(5), maps). */
function* memory(pid: number): Generator<Buffer> {
  const overlap = 64;
  const step = 16 << 20;
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n')) {
      const [range = '', modes = '', , , , file = ''] = line.split(/\s+/);
      if (!modes.startsWith('r') || file.startsWith('[v')) continue;
      if (file.startsWith('/') && !modes.startsWith('rw')) continue;
      const [start = 0, end = 0] = range.split('-').map((text) => Number.parseInt(text, 16));
      for (let at = start; at < end; at += step) {
        const length = Math.min(step + overlap, end - at);
        const buffer = Buffer.alloc(length);
        yield buffer.subarray(0, readSync(fd, buffer, 0, length, at));
      }
    }
  } finally {
    closeSync(fd);
  }
}

function leaks(pid: number, wanted: Map<string, Buffer>): Set<string> {
  const found = new Set<string>();
  for (const region of memory(pid)) {
    for (const [name, bytes] of wanted) if (region.includes(bytes)) found.add(name);
  }
  return found;
}

test('no secret number and no PEM text of any key is in the TLS process', { timeout: 60_000 }, async () => {
  for (const name of names) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = connect({
        port: ports.port,
        host: '127.0.0.1',
        ca: pki.read('ca.crt'),
        servername: 'localhost',
        sigalgs: name === 'ed25519' ? 'ed25519' : `${sigalgs[name]}:ed25519`,
        ciphers: name === 'rsa' ? 'ECDHE-RSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384' : 'DEFAULT',
        maxVersion,
        rejectUnauthorized: false,
      });
      socket.write('ping');
      await once(socket, 'data');
      socket.destroy();
    }
  }
  const wanted = new Map(names.flatMap((name) => [...needles(name)]));
  expect(leaks(server.pid as number, wanted)).toEqual(new Set());
  // The same search finds them where they are.
  const found = leaks(ports.signerPid, wanted);
  expect([...found].some((name) => name.startsWith('rsa.p'))).toBe(true);
  expect([...found].some((name) => name.startsWith('ec.d'))).toBe(true);
  expect([...found].some((name) => name.startsWith('ed25519.d'))).toBe(true);
});
