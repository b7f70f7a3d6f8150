/** What a scanner sees of the server's TLS: versions, suites, groups, compression, renegotiation, sessions, ends. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Lab, openLab, outside } from '../support/lab.ts';
import { connect } from '../support/openconnect.ts';
import { clientHello, sendRaw } from '../support/raw.ts';
import { startServer } from '../support/server.ts';

const WHERE = `${outside.server4}:443`;

/** openssl s_client to the server, with what it is to send; everything that it says. */
async function openssl(lab: Lab, args: readonly string[], input = ''): Promise<string> {
  const command = ['openssl', 's_client', '-connect', WHERE, '-servername', 'vpn.test', ...args];
  const { stdout, stderr } = await lab.client().run(command, { input, timeoutMs: 20_000 });
  return stdout + stderr;
}

const gnutls = async (lab: Lab, priority: string): Promise<string> => {
  const command = ['gnutls-cli', '--insecure', '--priority', priority, '-p', '443', outside.server4];
  const { stdout, stderr } = await lab.client().run(command, { timeoutMs: 20_000 });
  return stdout + stderr;
};

/** Bytes to an address that is not verified, for each byte from it. */
const MOST_TIMES = 3;
const LEGACY = ['-cipher', 'ALL:@SECLEVEL=0'];

test('a scan finds what is good and nothing else', async () => {
  const lab = await openLab();
  await startServer(lab, 'ocvpn');

  // Good.
  expect(await openssl(lab, ['-tls1_3'])).toContain('New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384');
  const tls12 = await openssl(lab, ['-tls1_2', '-status']);
  expect(tls12).toMatch(/New, TLSv1\.2, Cipher is ECDHE-\w+-AES256-GCM-SHA384/);
  expect(tls12).toContain('Secure Renegotiation IS supported');
  expect(tls12).toMatch(/Compression: NONE/);
  expect(tls12).not.toContain('TLS session ticket:');
  expect(tls12).toContain('Extended master secret: yes');
  expect(await gnutls(lab, 'NORMAL')).toMatch(/Description: \(TLS1\.3-/);
  expect(await gnutls(lab, 'NORMAL:-VERS-TLS1.3')).toMatch(/Description: \(TLS1\.2/);

  // Bad: refused, whatever the client would take.
  const refused: readonly (readonly string[])[] = [
    ['-tls1', ...LEGACY],
    ['-tls1_1', ...LEGACY],
    // A client that fell back from what it can do (RFC 7507).
    ['-tls1_2', '-fallback_scsv'],
    ...[
      'kRSA',
      'DHE:!ECDHE:!RSA',
      'PSK',
      'aNULL',
      'eNULL',
      'RC4',
      '3DES',
      'SHA1:!TLSv1.2',
      'AES256-SHA256',
    ].map((suites) => ['-tls1_2', '-cipher', `${suites}:@SECLEVEL=0`]),
    ['-tls1_2', '-cipher', 'ECDHE+AES:!AESGCM:!AESCCM:@SECLEVEL=0'],
    ['-tls1_2', '-groups', 'secp224r1'],
    ['-tls1_2', '-sigalgs', 'RSA+SHA1:ECDSA+SHA1', '-cipher', 'DEFAULT:@SECLEVEL=0'],
  ];
  for (const args of refused) {
    const said = await openssl(lab, args);
    expect(said, args.join(' ')).toMatch(/Cipher is \(NONE\)|no cipher match|no ciphers available/);
  }
  for (const priority of ['NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0', 'NORMAL:-KX-ALL:+RSA:-VERS-TLS1.3'])
    expect(await gnutls(lab, priority), priority).not.toContain('Handshake was completed');
});

test('a session is resumed at another worker, without a second signature of the key', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const session = join(lab.folder, 'session');
  const request = 'GET /none HTTP/1.0\r\n\r\n';
  const visit = (...args: string[]) => openssl(lab, ['-tls1_3', '-ign_eof', ...args], request);

  const first = await visit('-sess_out', session);
  expect(first).toContain('New, TLSv1.3');
  expect(first).toMatch(/TLS session ticket lifetime hint: 300 /);
  expect(first).toMatch(/Max Early Data: 0/);
  const again = await visit('-sess_in', session);
  expect(again).toContain('Reused, TLSv1.3');
  expect(again).toContain('HTTP/1.0 404');
  expect(again).toMatch(/Server Temp Key: X25519/);
  expect(server.process.output).not.toContain('TLS failure');
});

test('datagrams of strangers are answered by nothing: nobody is flooded through the server', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const strangers = [clientHello(randomBytes(32)), clientHello(Buffer.alloc(0)), randomBytes(1200)];
  const { reply, closed } = await sendRaw(lab, 'udp', strangers, { everyMs: 20, holdMs: 1500 });
  expect({ reply, closed }).toEqual({ reply: '', closed: 'still open' });
  expect(server.process.exit).toBeUndefined();

  // Who has seen the id of a living tunnel can name it, from any address. What comes is bounded, however long one waits.
  const client = await connect(lab, server);
  await client.dtls();
  const id = /X-DTLS-App-ID: ([0-9a-f]{64})/.exec(client.process.output)?.[1] ?? '';
  const hello = clientHello(Buffer.from(id, 'hex'));
  // The later one alone, when no handshake has begun for a while.
  for (const hellos of [6, 1]) {
    const known = await sendRaw(lab, 'udp', Array<Buffer>(hellos).fill(hello), {
      everyMs: 600,
      holdMs: 3500,
    });
    expect(known.reply.length).toBeGreaterThan(0);
    expect(known.reply.length).toBeLessThanOrEqual(MOST_TIMES * hellos * hello.length);
  }
});
