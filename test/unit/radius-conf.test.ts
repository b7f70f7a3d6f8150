/** radcli's files as they are written, and packets in a stream. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readRadiusConfig } from '../../src/plugins/auth-radius/src/radcli-conf.js';
import { radiusAccounting } from '../../src/plugins/auth-radius/src/radius-accounting.js';
import { packetsOf } from '../../src/plugins/auth-radius/src/transport.js';

const directory = mkdtempSync(join(tmpdir(), 'ocvpn-radcli-'));
afterAll(() => rmSync(directory, { recursive: true }));

const path = join(directory, 'radiusclient.conf');
writeFileSync(join(directory, 'servers'), '# who\none.example first\n2001:db8::7 second\n');
for (const name of ['ca.pem', 'cert.pem', 'key.pem']) writeFileSync(join(directory, name), name);

function read(...lines: readonly string[]) {
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  return readRadiusConfig(path);
}

const UDP = ['authserver one.example', 'acctserver one.example:1900,[2001:db8::7]', 'servers servers'];
const TLS = ['serv-type tls', 'authserver one.example', 'tls-ca-file ca.pem'];

describe('UDP', () => {
  test('servers, ports and secrets', () => {
    const { authServers, acctServers, tls } = read(...UDP, 'serv-type udp');
    expect(authServers).toEqual([{ host: 'one.example', port: 1812, secret: Buffer.from('first') }]);
    expect(acctServers).toEqual([
      { host: 'one.example', port: 1900, secret: Buffer.from('first') },
      { host: '2001:db8::7', port: 1813, secret: Buffer.from('second') },
    ]);
    expect(tls).toBeNull();
  });

  test.each([
    ['an unknown option', [...UDP, 'authservers x'], /:4: there is no option authservers/],
    ['a server without a secret', ['authserver two.example', 'servers servers'], /no secret for the server/],
    ['another transport', [...UDP, 'serv-type dtls'], /:4: serv-type dtls is not supported/],
    ['a time that is none', [...UDP, 'radius_timeout soon'], /radius_timeout must be 1…120/],
  ])('%s is an error with its place', (_, lines, message) => {
    expect(() => read(...lines)).toThrow(message);
  });
});

describe('TLS', () => {
  test('files, port and the secret of RFC 6614; accounting goes to authserver', () => {
    const found = read(...TLS, 'tls-cert-file cert.pem', 'tls-key-file key.pem', 'acctserver other:1813');
    const server = { host: 'one.example', port: 2083, secret: Buffer.from('radsec') };
    expect([found.authServers, found.acctServers]).toEqual([[server], [server]]);
    expect(found.tls).toEqual({
      ca: Buffer.from('ca.pem'),
      cert: Buffer.from('cert.pem'),
      key: Buffer.from('key.pem'),
      verifyHostname: true,
    });
    expect(read(...TLS, 'tls-verify-hostname false').tls).toMatchObject({
      cert: null,
      verifyHostname: false,
    });
  });

  test.each([
    ['no authority', ['serv-type tls', 'authserver one'], /serv-type tls needs tls-ca-file/],
    ['a certificate without its key', [...TLS, 'tls-cert-file cert.pem'], /belong together/],
    ['a file that is not there', ['serv-type tls', 'authserver x', 'tls-ca-file gone.pem'], /gone\.pem/],
    ['PSK', [...TLS, 'authserver one:2083:psk@me@00ff'], /PSK is not supported/],
  ])('%s is an error', (_, lines, message) => {
    expect(() => read(...lines)).toThrow(message);
  });

  test('CoA-Requests could be forged without a secret: there are none', async () => {
    read(...TLS);
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const host = {
      vhost: 'default',
      log,
      stateDir: directory,
      endSessions: async () => 0,
      changeSessions: async () => 0,
    };
    await expect(radiusAccounting.create({ config: path, 'coa-port': 3799 }, host)).rejects.toThrow(
      'coa-port',
    );
  });
});

describe('packets in a stream', () => {
  const packet = (length: number, fill: number): Buffer => {
    const bytes = Buffer.alloc(length, fill);
    bytes.writeUInt16BE(length, 2);
    return bytes;
  };
  const sent = [packet(20, 1), packet(4096, 2), packet(21, 3)];

  test.each([1, 3, 19, 20, 4096, 5000])('in pieces of %i bytes', (size) => {
    const found: Buffer[] = [];
    const cut = packetsOf((one) => found.push(Buffer.from(one)));
    const stream = Buffer.concat(sent);
    for (let at = 0; at < stream.length; at += size) cut(stream.subarray(at, at + size));
    expect(found).toEqual(sent);
  });

  test.each([0, 19, 4097])('a length of %i ends it', (length) => {
    const bytes = packet(20, 0);
    bytes.writeUInt16BE(length, 2);
    expect(() => packetsOf(() => {})(bytes)).toThrow(RangeError);
  });
});
