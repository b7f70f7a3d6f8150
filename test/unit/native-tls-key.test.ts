// The private key's secret numbers are in the memory of the process that signs, and in no page of the process
// that speaks TLS with them.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { secretsIn, secretsOf } from '../support/memory.js';
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
  const wanted = new Map(names.flatMap((name) => [...secretsOf(name, pki.read(`${name}.key`))]));
  expect(secretsIn(server.pid as number, wanted)).toEqual(new Set());
  // The same search finds them where they are.
  const found = secretsIn(ports.signerPid, wanted);
  expect([...found].some((name) => name.startsWith('rsa.p'))).toBe(true);
  expect([...found].some((name) => name.startsWith('ec.d'))).toBe(true);
  expect([...found].some((name) => name.startsWith('ed25519.d'))).toBe(true);
});
