/** The proof that a worker gives for a client's certificate: real handshakes, and what a worker could forge. */
import { spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ClientCertificates } from '../../src/core/secmod/client-certificates.js';
import { LeafKeys } from '../../src/core/secmod/client-trust.js';
import { readHandshake } from '../../src/core/secmod/tls-handshake.js';
import type { Vhost } from '../../src/core/secmod/vhosts.js';
import { certificatePlugin } from '../../src/plugins/auth-cert/src/certificate-backend.js';
import { ClientPki } from '../support/client-pki.js';
import { contextOptions, echo, native, RemoteSigner, TestPki, TestServer } from './native-tls.support.js';

const log = pino({ level: 'silent' });
const pki = new TestPki();
let clients: ClientPki;
let signer: RemoteSigner;
let vhost: Vhost;

beforeAll(async () => {
  pki.issue('server', 'ec');
  signer = new RemoteSigner([pki.path('server.key')]);
  clients = new ClientPki(pki.directory);
  for (const key of ['rsa', 'ec', 'ed25519'] as const) clients.issue(key, { key });
  const backend = await certificatePlugin.create({}, { vhost: 'default', log });
  const ca = readFileSync(clients.path('ca.crt'));
  const method = { name: 'certificate', credential: 'certificate', backend, maxTries: 1 } as const;
  vhost = {
    config: { name: 'default', 'cert-user-oid': '0.9.2342.19200300.100.1.1', 'cert-group-oid': '' },
    clientTrust: { ca, verifier: native.createCertificateVerifier({ ca }), keys: new LeafKeys() },
    ways: [{ name: 'certificate', methods: [method], backend, maxTries: 1 }],
  } as unknown as Vhost;
});
afterAll(async () => {
  await signer.close();
  pki.remove();
});

interface Shaken {
  readonly handshake: Buffer;
  /** What the server's key has signed. */
  readonly signed: Buffer;
}

/** A handshake of openssl with our TLS server; `name` '' shows no certificate. */
async function shake(name: string, ...args: readonly string[]): Promise<Shaken & { taken: Buffer | null }> {
  const ca = readFileSync(clients.path('ca.crt'));
  const options = contextOptions([pki.read('server.crt')], {
    clientCertificate: 'request',
    ca,
    groups: 'P-256',
  });
  const server = new TestServer(native.createTlsContext(options), echo(signer));
  const shown =
    name === '' ? [] : ['-cert', clients.path(`${name}.crt`), '-key', clients.path(`${name}.key`)];
  const next = server.next();
  const client = spawn(
    'openssl',
    ['s_client', '-quiet', '-connect', `127.0.0.1:${server.port}`, ...shown, ...args],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  );
  const exit = once(client, 'exit');
  const accepted = await next;
  await accepted.secure();
  const taken = accepted.connection.takeClientHandshake();
  expect(accepted.connection.takeClientHandshake()).toBeNull();
  client.kill();
  await exit;
  await server.close();
  return { handshake: taken ?? Buffer.alloc(0), signed: accepted.signs[0]?.data ?? Buffer.alloc(0), taken };
}

function showing({ handshake, signed }: Shaken, to = new ClientCertificates(4, log)) {
  to.signed('default', signed);
  return { to, reply: to.show(vhost, { client: 7, vhost: 'default', handshake }) };
}

const RETRY = ['-groups', 'X25519:P-256'];

test.each([
  ['rsa', ['-tls1_3']],
  ['ec', ['-tls1_3']],
  ['ed25519', ['-tls1_3']],
  ['ec', ['-tls1_3', ...RETRY]],
  ['ec', ['-tls1_3', '-ciphersuites', 'TLS_AES_128_GCM_SHA256']],
  ['rsa', ['-tls1_2']],
  ['ec', ['-tls1_2']],
  ['ed25519', ['-tls1_2']],
  ['ec', ['-tls1_2', '-status']],
])('a handshake with a key of type %s and %j is proof of the certificate', async (name, args) => {
  const { to, reply } = showing(await shake(name, ...args));
  expect(reply).toEqual({ ok: true, userName: name, groups: [], reason: '' });
  expect(to.of(7, vhost)?.der).toBeDefined();
  expect(to.of(8, vhost)).toBeNull();
});

test('a client without a certificate leaves nothing', async () => {
  expect((await shake('', '-tls1_3')).taken).toBeNull();
  expect((await shake('', '-tls1_2')).taken).toBeNull();
});

describe.each(['-tls1_3', '-tls1_2'])('what a worker that was taken over could try, %s', (version) => {
  let good: Shaken;
  beforeAll(async () => {
    good = await shake('ec', version);
  });
  const refused = (shaken: Shaken, reason: RegExp) => {
    const { to, reply } = showing(shaken);
    expect(reply).toMatchObject({ ok: false, userName: '', reason: expect.stringMatching(reason) });
    expect(to.of(7, vhost)).toBeNull();
  };

  test('a handshake that was not signed here', () => {
    refused({ ...good, signed: Buffer.from('another') }, /none that was signed/);
  });

  test('the same handshake twice', () => {
    const { to, reply } = showing(good);
    expect(reply.ok).toBe(true);
    expect(to.show(vhost, { client: 9, vhost: 'default', handshake: good.handshake }).ok).toBe(false);
    // A client that fails afterwards has none any more.
    expect(to.show(vhost, { client: 7, vhost: 'default', handshake: good.handshake }).ok).toBe(false);
    expect(to.of(7, vhost)).toBeNull();
  });

  test("another virtual host's signature", () => {
    const to = new ClientCertificates(4, log);
    to.signed('other', good.signed);
    expect(to.show(vhost, { client: 7, vhost: 'default', handshake: good.handshake }).ok).toBe(false);
  });

  test('a signature that was changed', () => {
    const handshake = Buffer.from(good.handshake);
    handshake.writeUInt8(handshake.readUInt8(handshake.length - 1) ^ 1, handshake.length - 1);
    refused({ ...good, handshake }, /does not hold the key/);
  });

  test("somebody else's certificate in a handshake of one's own", () => {
    const own = readHandshake(good.handshake).chain[0] ?? Buffer.alloc(0);
    const other = Buffer.from(clients.read('ed25519.crt').replaceAll(/-----[^-]+-----|\n/g, ''), 'base64');
    refused({ ...good, handshake: swapCertificate(good.handshake, own, other) }, /does not hold the key/);
  });

  test('any cut of the bytes, and any byte changed: never a crash, never a certificate', () => {
    for (let at = 0; at < good.handshake.length; at += 37) {
      expect(showing({ ...good, handshake: good.handshake.subarray(0, at + 1) }).reply.ok).toBe(false);
      const changed = Buffer.from(good.handshake);
      changed.writeUInt8(changed.readUInt8(at) ^ 0xff, at);
      expect(showing({ ...good, handshake: changed }).reply.ok).toBe(false);
    }
  });
});

test('names that are remembered are those of this certificate and of these fields', async () => {
  const backend = await certificatePlugin.create({}, { vhost: 'default', log });
  const der = (name: string): Uint8Array => new X509Certificate(clients.read(`${name}.crt`)).raw;
  const nameOf = (name: string, userField: string): string | undefined =>
    backend.holderOf?.({ der: der(name), userField, groupField: '' })?.userName;
  const uid = '0.9.2342.19200300.100.1.1';
  for (let round = 0; round < 2; round++) {
    expect(nameOf('rsa', uid)).toBe('rsa');
    expect(nameOf('ec', uid)).toBe('ec');
    expect(nameOf('ec', '2.5.4.12')).toBeUndefined();
  }
});

test('a certificate that cannot be read is told in the log each time', async () => {
  const warn = vi.fn();
  const backend = await certificatePlugin.create(
    {},
    { vhost: 'default', log: { error: warn, warn, info: warn, debug: warn } },
  );
  const wrong = { der: Buffer.from('no certificate'), userField: '2.5.4.3', groupField: '' };
  for (let round = 1; round <= 2; round++) {
    expect(backend.holderOf?.(wrong)).toBeNull();
    expect(warn).toHaveBeenCalledTimes(round);
  }
});

test('a key that is remembered belongs to its certificate', () => {
  const keys = new LeafKeys();
  const der = (name: string): Uint8Array => new X509Certificate(clients.read(`${name}.crt`)).raw;
  for (const name of ['rsa', 'ec', 'ed25519', 'rsa', 'ec'])
    expect(keys.of(der(name)).asymmetricKeyType).toBe(name);
  expect(keys.of(der('ec'))).toBe(keys.of(der('ec')));
  expect(() => keys.of(Buffer.from('no certificate'))).toThrow();
});

/** Replaces the bytes of a certificate and mends the lengths before it (message, list, certificate). */
function swapCertificate(handshake: Buffer, own: Buffer, other: Buffer): Buffer {
  const at = handshake.indexOf(own);
  const swapped = Buffer.concat([handshake.subarray(0, at), other, handshake.subarray(at + own.length)]);
  const message = [at - 3 - 3 - 4, at - 3 - 3 - 4 + 1].find((start) => swapped.readUInt8(start) === 11);
  const start = message ?? at - 3 - 3 - 1 - 4 + 0;
  for (const offset of [at - 3, at - 6, start + 1])
    swapped.writeUIntBE(swapped.readUIntBE(offset, 3) + other.length - own.length, offset, 3);
  return swapped;
}

test('bytes that are no handshake', () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.alloc(64),
    createHash('sha512').digest(),
    Buffer.from([2, 0, 0, 1, 3]),
  ])
    expect(() => readHandshake(bytes)).toThrow(RangeError);
});
