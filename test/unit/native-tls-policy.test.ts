import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TlsContextOptions } from '../../src/core/native/tls-types.js';
import { client, leave, refusal, serving } from './native-tls.clients.js';
import { type Behaviour, contextOptions, echo, native, RemoteSigner, TestPki } from './native-tls.support.js';

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

describe('versions, suites and groups', () => {
  const negotiated = async (options: ConnectionOptions, more: Partial<TlsContextOptions> = {}) =>
    serving(all(more), echo(signer), async (server) => {
      await leave(await client(pki, server.port, options));
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
      expect(await refusal(pki, server.port, options)).toMatch(/ALERT|ECONNRESET/);
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
      const socket = await client(pki, server.port, { maxVersion: 'TLSv1.2' });
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
      const socket = await client(pki, server.port, { servername, rejectUnauthorized: false });
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
      await leave(await client(pki, server.port, { servername: 'other.example', ...identity }));
      expect(await server.accepted[0]?.secure()).toMatchObject({
        version: 'TLSv1.2',
        cipher: 'ECDHE-ECDSA-CHACHA20-POLY1305',
        peerCertificate: expect.any(Buffer),
      });
      expect(await refusal(pki, server.port, { servername: 'other.example' })).toMatch(/ALERT/);
      await leave(await client(pki, server.port));
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
        const socket = await client(pki, server.port, { maxVersion, ...options });
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
      expect(await refusal(pki, server.port, one)).toMatch(/ALERT/);
      expect(await refusal(pki, server.port, { ...one, ...identity('expired') })).toMatch(
        /ALERT_CERTIFICATE_EXPIRED/,
      );
      expect(await refusal(pki, server.port, { ...one, ...identity('foreign') })).toMatch(/ALERT_UNKNOWN_CA/);
      await leave(await client(pki, server.port, { ...one, ...identity('good') }));
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
