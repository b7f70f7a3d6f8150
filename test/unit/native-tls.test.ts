import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TlsContextOptions, TlsServerContext } from '../../src/core/native/types.js';
import {
  type Behaviour,
  contextOptions,
  echo,
  native,
  RemoteSigner,
  TestPki,
  TestServer,
} from './native-tls.support.js';

const names = ['rsa', 'ec', 'ed25519'] as const;
let pki: TestPki;
let signer: RemoteSigner;

beforeAll(() => {
  pki = new TestPki();
  for (const name of names) pki.issue(name, name);
  pki.issue('other', 'ec', { dns: 'other.example' });
  pki.issue('good', 'ec');
  pki.issue('expired', 'ec', { days: ['-days', '-1'] });
  pki.issue('foreign', 'ec', { ca: 'stranger' });
  signer = new RemoteSigner([...names, 'other'].map((name) => pki.path(`${name}.key`)));
});

afterAll(async () => {
  await signer.close();
  pki.remove();
});

const chain = (name: string) => pki.read(`${name}.crt`);
const all = (more: Partial<TlsContextOptions> = {}) =>
  native.createTlsContext(contextOptions(names.map(chain), more));

async function serving<T>(
  context: TlsServerContext,
  behaviour: Behaviour,
  use: (server: TestServer) => Promise<T>,
): Promise<T> {
  const server = new TestServer(context, behaviour);
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

/** Runs a command-line client that sends `line` and reads until the echo came back; gives all of its output. */
async function talk(
  command: string,
  args: string[],
  line: string,
): Promise<{ output: string; code: number }> {
  const child = spawn(command, args);
  let output = '';
  child.stderr.on('data', (text) => {
    output += text;
  });
  child.stdout.on('data', (text) => {
    output += text;
    if (output.includes(line)) child.stdin.end();
  });
  child.stdin.on('error', () => {}); // the client may be gone before it reads
  child.stdin.write(`${line}\n`);
  const [code] = await once(child, 'close');
  return { output, code };
}

const openssl = (port: number, ...args: string[]) =>
  talk(
    'openssl',
    [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-quiet',
      '-no_ign_eof',
      '-verify_return_error',
      '-CAfile',
      pki.path('ca.crt'),
      ...args,
    ],
    'marco polo',
  );
const gnutls = (port: number, priority: string) =>
  talk(
    'gnutls-cli',
    [
      '--x509cafile',
      pki.path('ca.crt'),
      '--verify-hostname',
      'localhost',
      '--priority',
      priority,
      '-p',
      String(port),
      '127.0.0.1',
    ],
    'marco polo',
  );

async function client(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: pki.read('ca.crt'),
    servername: 'localhost',
    ...options,
  });
  await once(socket, 'secureConnect');
  return socket;
}

/** Ends the connection in order: what was sent before arrives. */
async function leave(socket: TLSSocket): Promise<void> {
  socket.resume();
  socket.end();
  await once(socket, 'close');
}

/** The error that a connecting client ends with. */
async function refusal(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: pki.read('ca.crt'),
    servername: 'localhost',
    ...options,
  });
  const [error] = (await once(socket, 'error')) as [Error & { code: string }];
  return error.code;
}

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
      const { output } = await openssl(server.port, flag, '-sigalgs', sigalgs);
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
      const { output } = await gnutls(server.port, priority);
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
        const socket = await client(server.port, { sigalgs, rejectUnauthorized: false });
        const accepted = await next;
        expect(accepted.signs.map((call) => call.keyIndex)).toEqual([keyIndex]);
        await leave(socket);
      }
    });
  });

  test('asks for nothing but the two messages that TLS servers sign', async () => {
    await serving(all(), echo(signer), async (server) => {
      await leave(await client(server.port, { minVersion: 'TLSv1.3' }));
      await leave(await client(server.port, { maxVersion: 'TLSv1.2', ecdhCurve: 'P-256' }));
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
          const socket = await client(server.port, i % 2 === 0 ? {} : { maxVersion: 'TLSv1.2' });
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
      expect(await refusal(server.port)).toMatch(/ALERT|ECONNRESET/);
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
      expect(await refusal(server.port)).toBeTruthy();
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
      await leave(await client(server.port));
    });
  });
});

describe('versions, suites and groups', () => {
  const negotiated = async (options: ConnectionOptions, more: Partial<TlsContextOptions> = {}) =>
    serving(all(more), echo(signer), async (server) => {
      await leave(await client(server.port, options));
      return server.accepted[0]?.secure();
    });

  test('defaults: TLS 1.3, AES-256-GCM, post-quantum hybrid where the client has it', async () => {
    expect(await negotiated({})).toMatchObject({
      version: 'TLSv1.3',
      cipher: 'TLS_AES_256_GCM_SHA384',
      group: 'X25519MLKEM768',
      vhost: 'default',
      serverName: 'localhost',
    });
  });

  test.each(['secp256r1', 'x25519', 'secp384r1'])('group %s', async (group) => {
    expect(await negotiated({ ecdhCurve: group })).toMatchObject({ group });
    expect(await negotiated({ ecdhCurve: group, maxVersion: 'TLSv1.2' })).toMatchObject({ group });
  });

  test('ECDHE-RSA-AES256-GCM-SHA384 for clients of TLS 1.2', async () => {
    const ciphers = 'ECDHE-RSA-AES256-GCM-SHA384';
    expect(await negotiated({ maxVersion: 'TLSv1.2', ciphers })).toMatchObject({
      version: 'TLSv1.2',
      cipher: ciphers,
      secureRenegotiation: true,
    });
  });

  test('the server prefers its own order', async () => {
    const ciphers = 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384';
    expect(await negotiated({ maxVersion: 'TLSv1.2', ciphers })).toMatchObject({
      cipher: 'ECDHE-RSA-AES256-GCM-SHA384',
    });
  });

  test.each([
    ['RSA key exchange', { maxVersion: 'TLSv1.2', ciphers: 'AES256-GCM-SHA384' }, { cipherList: 'ALL' }],
    ['CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES256-SHA384' }, {}],
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, {}],
    ['SHA-1 signatures', { maxVersion: 'TLSv1.2', sigalgs: 'RSA+SHA1', ciphers: 'ALL:@SECLEVEL=0' }, {}],
    ['TLS 1.2 with minVersion TLSv1.3', { maxVersion: 'TLSv1.2' }, { minVersion: 'TLSv1.3' }],
  ] as [string, ConnectionOptions, Partial<TlsContextOptions>][])('refuses %s', async (_, options, more) => {
    await serving(all(more), echo(signer), async (server) => {
      expect(await refusal(server.port, options)).toMatch(/ALERT|ECONNRESET/);
      expect((await server.accepted[0]?.closed())?.error?.code).toMatch(/^ERR_TLS_/);
    });
  });

  test('options narrow the choice', async () => {
    const more = { maxVersion: 'TLSv1.2', cipherList: 'ECDHE+AES128', groups: 'P-384' } as const;
    expect(await negotiated({}, more)).toMatchObject({
      version: 'TLSv1.2',
      cipher: 'ECDHE-ECDSA-AES128-GCM-SHA256',
      group: 'secp384r1',
    });
    expect(await negotiated({}, { cipherSuites: 'TLS_CHACHA20_POLY1305_SHA256' })).toMatchObject({
      cipher: 'TLS_CHACHA20_POLY1305_SHA256',
    });
  });

  test.each(['-tls1_2', '-tls1_3'])('no session is ever resumed (%s)', async (flag) => {
    await serving(all(), echo(signer), async (server) => {
      const child = spawn('openssl', [
        's_client',
        '-connect',
        `127.0.0.1:${server.port}`,
        flag,
        '-reconnect',
      ]);
      child.stdin.end();
      let output = '';
      child.stdout.on('data', (text) => {
        output += text;
      });
      await once(child, 'close');
      expect(output).toContain('New, TLSv1');
      expect(output).not.toContain('Reused, ');
      for (const accepted of server.accepted) {
        expect((await accepted.secure()).resumed).toBe(false);
        expect(accepted.signs).toHaveLength(1);
      }
    });
  });

  test('a renegotiation that nobody allowed is declined with a warning and without a signature', async () => {
    await serving(all(), echo(signer), async (server) => {
      const socket = await client(server.port, { maxVersion: 'TLSv1.2' });
      const declined = once(socket, 'error');
      socket.renegotiate({}, () => {});
      const [error] = (await declined) as [Error & { code: string }];
      expect(error.code).toBe('ERR_SSL_NO_RENEGOTIATION');
      expect(server.accepted[0]?.signs).toHaveLength(1);
      expect(server.accepted[0]?.connection.info().version).toBe('TLSv1.2');
      socket.on('error', () => {}); // OpenSSL's client gives up after the warning
      socket.destroy();
    });
  });
});

describe('server names', () => {
  const withVhost = (more: Partial<TlsContextOptions> = {}) => {
    const context = native.createTlsContext(contextOptions([chain('rsa')]));
    const other = native.createTlsContext(contextOptions([chain('other')], more));
    context.addServerName('other.example', other, 'vhost-b');
    return context;
  };
  /** keyIndex is per context: the vhost tells which key is meant, as secmod does it. */
  const byVhost: Behaviour = {
    ...echo({} as RemoteSigner),
    onSign: async (accepted, { requestId, vhost, keyIndex, scheme, data }) =>
      accepted.connection.completeSign(
        requestId,
        await signer.sign(vhost === 'vhost-b' ? 3 : keyIndex, scheme, data),
      ),
  };

  test.each([
    ['other.example', 'other', 'vhost-b'],
    ['OTHER.example', 'other', 'vhost-b'],
    ['localhost', 'rsa', 'default'],
    ['sub.other.example', 'rsa', 'default'],
  ])('%s is served by %s', async (servername, certificate, vhost) => {
    await serving(withVhost(), byVhost, async (server) => {
      const socket = await client(server.port, { servername, rejectUnauthorized: false });
      expect(socket.getPeerCertificate().subject.CN).toBe(certificate);
      const accepted = server.accepted[0];
      expect(await accepted?.secure()).toMatchObject({ vhost, serverName: servername.toLowerCase() });
      expect(accepted?.signs[0]).toMatchObject({ vhost, keyIndex: 0 });
      await leave(socket);
    });
  });

  test('the other context brings its own versions, suites and client certificate mode', async () => {
    const context = withVhost({
      maxVersion: 'TLSv1.2',
      cipherList: 'ECDHE+CHACHA20',
      clientCertificate: 'require',
      ca: pki.read('ca.crt'),
    });
    await serving(context, byVhost, async (server) => {
      const identity = { cert: chain('good'), key: pki.read('good.key') };
      await leave(await client(server.port, { servername: 'other.example', ...identity }));
      expect(await server.accepted[0]?.secure()).toMatchObject({
        version: 'TLSv1.2',
        cipher: 'ECDHE-ECDSA-CHACHA20-POLY1305',
        peerCertificate: expect.any(Buffer),
      });
      expect(await refusal(server.port, { servername: 'other.example' })).toMatch(/ALERT/);
      await leave(await client(server.port));
      expect(await server.accepted[2]?.secure()).toMatchObject({ version: 'TLSv1.3', peerCertificate: null });
    });
  });
});

describe('client certificates', () => {
  const asking = (clientCertificate: 'request' | 'require') =>
    all({ clientCertificate, ca: pki.read('ca.crt') });
  const identity = (name: string) => ({ cert: pki.read(`${name}.leaf`), key: pki.read(`${name}.key`) });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('request mode goes on and tells (%s)', async (maxVersion) => {
    await serving(asking('request'), echo(signer), async (server) => {
      const ask = async (options: ConnectionOptions) => {
        const next = server.next();
        const socket = await client(server.port, { maxVersion, ...options });
        const info = await (await next).secure();
        await leave(socket);
        return info;
      };
      const good = await ask(identity('good'));
      expect(good.verifyError).toBe('');
      expect(good.peerCertificate?.equals(derOf(pki.read('good.leaf').toString()))).toBe(true);
      expect(await ask({})).toMatchObject({ peerCertificate: null, verifyError: '' });
      expect(await ask(identity('expired'))).toMatchObject({
        peerCertificate: null,
        verifyError: 'certificate has expired',
      });
      expect(await ask(identity('foreign'))).toMatchObject({
        peerCertificate: null,
        verifyError: expect.stringContaining('unable to'),
      });
    });
  });

  test('require mode refuses all but a good one', async () => {
    await serving(asking('require'), echo(signer), async (server) => {
      const one = { maxVersion: 'TLSv1.2' } as const;
      expect(await refusal(server.port, one)).toMatch(/ALERT/);
      expect(await refusal(server.port, { ...one, ...identity('expired') })).toMatch(
        /ALERT_CERTIFICATE_EXPIRED/,
      );
      expect(await refusal(server.port, { ...one, ...identity('foreign') })).toMatch(/ALERT_UNKNOWN_CA/);
      await leave(await client(server.port, { ...one, ...identity('good') }));
    });
  });

  function derOf(pem: string): Buffer {
    return Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64');
  }
});

describe('contexts that cannot be', () => {
  test.each([
    ['no chain', () => ({ certificateChains: [] }), /at least one certificate/],
    ['no PEM', () => ({ certificateChains: [Buffer.from('nothing')] }), /chain 0 has no usable certificate/],
    [
      'two keys of one type',
      () => ({ certificateChains: [chain('ec'), chain('other')] }),
      /chain 1 is the second/,
    ],
    ['bad cipher list', () => ({ cipherList: 'NOT-A-CIPHER' }), /cipher list.*no cipher match/],
    ['bad suites', () => ({ cipherSuites: 'NOT-A-SUITE' }), /cipher suites/],
    ['bad groups', () => ({ groups: 'P-1' }), /groups/],
    ['versions upside down', () => ({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }), /lowest TLS version/],
    ['no CA to verify with', () => ({ clientCertificate: 'request' }), /CA bundle/],
    ['empty CA bundle', () => ({ clientCertificate: 'require', ca: Buffer.from('x') }), /CA bundle/],
    ['unknown version', () => ({ minVersion: 'SSLv3' }), /minVersion must be/],
    ['unknown mode', () => ({ clientCertificate: 'maybe' }), /clientCertificate must be/],
  ] as [string, () => object, RegExp][])('%s', (_, more, message) => {
    expect(() => all(more() as Partial<TlsContextOptions>)).toThrow(message);
  });
});
