import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client, gnutls, leave, openssl, refusal, serving } from './native-tls.clients.js';
import { type Behaviour, contextOptions, echo, native, RemoteSigner, TestPki } from './native-tls.support.js';

const names = ['rsa', 'ec', 'ed25519'] as const;
let pki: TestPki;
let signer: RemoteSigner;

beforeAll(() => {
  pki = new TestPki();
  for (const name of names) pki.issue(name, name);
  signer = new RemoteSigner(names.map((name) => pki.path(`${name}.key`)));
});

afterAll(async () => {
  await signer.close();
  pki.remove();
});

const chain = (name: string) => pki.read(`${name}.crt`);
const all = () => native.createTlsContext(contextOptions(names.map(chain)));

describe('signatures by a key in another process', () => {
  const cases = [
    {
      version: 'TLSv1.3',
      key: 'rsa',
      scheme: 0x0804,
      sigalg: 'rsa_pss_rsae_sha256',
      gnutls: 'SIGN-RSA-PSS-RSAE-SHA256',
    },
    {
      version: 'TLSv1.3',
      key: 'rsa',
      scheme: 0x0805,
      sigalg: 'rsa_pss_rsae_sha384',
      gnutls: 'SIGN-RSA-PSS-RSAE-SHA384',
    },
    {
      version: 'TLSv1.3',
      key: 'rsa',
      scheme: 0x0806,
      sigalg: 'rsa_pss_rsae_sha512',
      gnutls: 'SIGN-RSA-PSS-RSAE-SHA512',
    },
    {
      version: 'TLSv1.3',
      key: 'ec',
      scheme: 0x0403,
      sigalg: 'ECDSA+SHA256',
      gnutls: 'SIGN-ECDSA-SECP256R1-SHA256',
    },
    { version: 'TLSv1.3', key: 'ed25519', scheme: 0x0807, sigalg: 'ed25519', gnutls: 'SIGN-EDDSA-ED25519' },
    { version: 'TLSv1.2', key: 'rsa', scheme: 0x0401, sigalg: 'RSA+SHA256', gnutls: 'SIGN-RSA-SHA256' },
    { version: 'TLSv1.2', key: 'rsa', scheme: 0x0501, sigalg: 'RSA+SHA384', gnutls: 'SIGN-RSA-SHA384' },
    { version: 'TLSv1.2', key: 'rsa', scheme: 0x0601, sigalg: 'RSA+SHA512', gnutls: 'SIGN-RSA-SHA512' },
    {
      version: 'TLSv1.2',
      key: 'rsa',
      scheme: 0x0804,
      sigalg: 'rsa_pss_rsae_sha256',
      gnutls: 'SIGN-RSA-PSS-RSAE-SHA256',
    },
    { version: 'TLSv1.2', key: 'ec', scheme: 0x0403, sigalg: 'ECDSA+SHA256', gnutls: 'SIGN-ECDSA-SHA256' },
    { version: 'TLSv1.2', key: 'ec', scheme: 0x0503, sigalg: 'ECDSA+SHA384', gnutls: 'SIGN-ECDSA-SHA384' },
    { version: 'TLSv1.2', key: 'ec', scheme: 0x0603, sigalg: 'ECDSA+SHA512', gnutls: 'SIGN-ECDSA-SHA512' },
    { version: 'TLSv1.2', key: 'ed25519', scheme: 0x0807, sigalg: 'ed25519', gnutls: 'SIGN-EDDSA-ED25519' },
  ] as const;
  // The CA signs with Ed25519, which clients must accept too; an RSA or EC leaf cannot be used with it.

  test.each(cases)('$version $sigalg with openssl', async ({ version, key, scheme, sigalg }) => {
    const index = names.indexOf(key);
    // One certificate only, so that the client's permission to sign the chain cannot select another.
    const context = native.createTlsContext(contextOptions([chain(key)]));
    const signOne: Behaviour = {
      ...echo(signer),
      onSign: async (accepted, call) =>
        accepted.connection.completeSign(call.requestId, await signer.sign(index, call.scheme, call.data)),
    };
    await serving(context, signOne, async (server) => {
      const flag = version === 'TLSv1.3' ? '-tls1_3' : '-tls1_2';
      const sigalgs = sigalg === 'ed25519' ? sigalg : `${sigalg}:ed25519`;
      const { output } = await openssl(pki, server.port, flag, '-sigalgs', sigalgs);
      expect(output).toContain('marco polo');
      const accepted = server.accepted[0];
      expect(await accepted?.secure()).toMatchObject({ version, signatureScheme: scheme, resumed: false });
      expect(accepted?.signs.map((call) => call.scheme)).toEqual([scheme]);
      expect(await accepted?.closed()).toMatchObject({ error: null });
    });
  });

  test.each(cases)('$version $gnutls with gnutls-cli', async ({ version, key, scheme, gnutls: sign }) => {
    const index = names.indexOf(key);
    const context = native.createTlsContext(contextOptions([chain(key)]));
    const signOne: Behaviour = {
      ...echo(signer),
      onSign: async (accepted, call) =>
        accepted.connection.completeSign(call.requestId, await signer.sign(index, call.scheme, call.data)),
    };
    await serving(context, signOne, async (server) => {
      const tls = version === 'TLSv1.3' ? '+VERS-TLS1.3' : '+VERS-TLS1.2';
      const priority = `NORMAL:-VERS-ALL:${tls}:-SIGN-ALL:+${sign}:+SIGN-EDDSA-ED25519`;
      const { output } = await gnutls(pki, server.port, priority);
      expect(output).toContain('marco polo');
      expect(await server.accepted[0]?.secure()).toMatchObject({ version, signatureScheme: scheme });
    });
  });

  test('the client chooses among several certificates by its signature algorithms', async () => {
    await serving(all(), echo(signer), async (server) => {
      for (const [sigalgs, keyIndex] of [
        ['rsa_pss_rsae_sha256', 0],
        ['ecdsa_secp256r1_sha256', 1],
        ['ed25519', 2],
      ] as const) {
        const next = server.next();
        const socket = await client(pki, server.port, { sigalgs, rejectUnauthorized: false });
        const accepted = await next;
        expect(accepted.signs.map((call) => call.keyIndex)).toEqual([keyIndex]);
        await leave(socket);
      }
    });
  });

  test('asks for nothing but the two messages that TLS servers sign', async () => {
    await serving(all(), echo(signer), async (server) => {
      await leave(await client(pki, server.port, { minVersion: 'TLSv1.3' }));
      await leave(await client(pki, server.port, { maxVersion: 'TLSv1.2', ecdhCurve: 'P-256' }));
      const [tls13, tls12] = server.accepted.map((accepted) => accepted.signs[0]?.data as Buffer);
      // RFC 8446 4.4.3
      const context = Buffer.from(`${' '.repeat(64)}TLS 1.3, server CertificateVerify\0`, 'latin1');
      expect(tls13?.subarray(0, context.length)).toEqual(context);
      expect(tls13?.length).toBe(context.length + 48);
      // RFC 8422 5.4: two randoms, named_curve secp256r1, uncompressed point
      expect(tls12?.subarray(64, 69).toString('hex')).toBe('0300174104');
      expect(tls12?.length).toBe(64 + 4 + 65);
    });
  });

  test('50 handshakes sleep at once and are answered in reverse order', async () => {
    const count = 50;
    const pending: (() => Promise<void>)[] = [];
    const full = Promise.withResolvers<void>();
    const behaviour: Behaviour = {
      ...echo(signer),
      onSign: (accepted, call) => {
        pending.push(async () =>
          accepted.connection.completeSign(
            call.requestId,
            await signer.sign(call.keyIndex, call.scheme, call.data),
          ),
        );
        if (pending.length === count) full.resolve();
      },
    };
    await serving(all(), behaviour, async (server) => {
      const sockets = Promise.all(
        Array.from({ length: count }, async (_, i) => {
          const socket = await client(pki, server.port, i % 2 === 0 ? {} : { maxVersion: 'TLSv1.2' });
          socket.write(`number ${i}`);
          const [echoed] = await once(socket, 'data');
          await leave(socket);
          return String(echoed);
        }),
      );
      await full.promise;
      for (const answer of pending.reverse()) await answer();
      expect(await sockets).toEqual(Array.from({ length: count }, (_, i) => `number ${i}`));
    });
  });

  test('a refused signature ends the handshake', async () => {
    const refuse: Behaviour = {
      onSign: (accepted, call) => accepted.connection.completeSign(call.requestId, null),
    };
    await serving(all(), refuse, async (server) => {
      expect(await refusal(pki, server.port)).toMatch(/ALERT|ECONNRESET/);
      const { error } = (await server.accepted[0]?.closed()) ?? {};
      expect(error?.code).toMatch(/^ERR_TLS_/);
    });
  });

  test.each([
    ['another key', (signature: Buffer) => Buffer.from(signature).fill(1, 8, 16)],
    ['an oversized one', () => Buffer.alloc(1024, 1)],
  ])('a signature of %s ends the handshake', async (_, spoil) => {
    const behaviour: Behaviour = {
      onSign: async (accepted, call) =>
        accepted.connection.completeSign(
          call.requestId,
          spoil(await signer.sign(call.keyIndex, call.scheme, call.data)),
        ),
    };
    await serving(all(), behaviour, async (server) => {
      expect(await refusal(pki, server.port)).toBeTruthy();
      await server.accepted[0]?.closed();
      expect(server.accepted[0]?.closeCount).toBe(1);
    });
  });

  test('answers to unknown requests and second answers change nothing', async () => {
    const behaviour: Behaviour = {
      ...echo(signer),
      onSign: async (accepted, call) => {
        const signature = await signer.sign(call.keyIndex, call.scheme, call.data);
        accepted.connection.completeSign(call.requestId + 1, null);
        accepted.connection.completeSign(call.requestId, signature);
        accepted.connection.completeSign(call.requestId, null);
      },
    };
    await serving(all(), behaviour, async (server) => {
      await leave(await client(pki, server.port));
    });
  });
});
