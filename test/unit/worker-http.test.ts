/** Limits and bad input of the HTTP phase, over real TLS: each ends one connection and is told to main. */
import { connect } from 'node:net';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encodeCookie } from '../../src/core/wire/cookies.js';
import { TlsClient } from '../support/tls-client.js';
import { type Identity, makeIdentity, WorkerHarness } from '../support/worker-harness.js';

let identity: Identity;
let harness: WorkerHarness;

beforeAll(() => {
  identity = makeIdentity('ec');
});
beforeEach(async () => {
  harness = await new WorkerHarness({ identity, options: { 'worker-clients': 8 } }).start();
});
afterEach(() => harness.stop());

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

/** The connection was ended for this reason, said once. */
async function endsWith(client: TlsClient, reason: string | RegExp): Promise<string> {
  const { rest } = await client.end();
  expect(await harness.failure()).toMatch(reason);
  return rest;
}

describe('replies', () => {
  it.each([
    ['GET /nothing', 404],
    ['PUT /', 404],
    ['DELETE /auth', 404],
    ['HEAD /', 404],
  ])('%s gives %i', async (line, status) => {
    const client = await TlsClient.connect(harness.port);
    client.send(`${line} HTTP/1.1\r\nHost: h\r\n\r\n`);
    const rest = await endsWith(client, 'no such page');
    expect(rest).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} Not found\r\nContent-length: 50\r\nConnection: close\r\n\r\n`),
    );
  });

  it('serves stub pages on a connection that stays', async () => {
    const client = await TlsClient.connect(harness.port);
    for (let round = 0; round < 3; round++) {
      client.send('GET /1/binaries/update.txt HTTP/1.1\r\nHost: h\r\n\r\n');
      const { head, body } = await client.reply();
      expect(head).toBe(
        'HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Type: text/xml\r\nX-Transcend-Version: 1\r\nContent-Length: 9\r\n\r\n',
      );
      expect(body).toBe('0,0,0000\n');
    }
  });

  it('echoes HTTP/1.0 and closes', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send('GET / HTTP/1.0\r\n\r\n');
    const { head } = await client.reply();
    expect(head).toMatch(/^HTTP\/1\.0 200 OK\r\nSet-Cookie: /);
    await client.end();
    expect(harness.log).toEqual([]);
  });

  it('has no body for HEAD', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send('HEAD / HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await endsWith(client, 'no such page')).toMatch(/\r\n\r\n$/);
  });

  it('asks for a Host', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send('GET / HTTP/1.1\r\n\r\n');
    expect((await client.end()).rest).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nContent-Type: text\/html\r\n/);
  });

  it('ends after the reply where the client wants so', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send(GET.replace('Host', 'Connection: close\r\nHost'));
    expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 200 /);
    expect((await client.end()).rest).toBe('');
    expect(harness.log).toEqual([]);
  });

  it('lets a client go on that waits for 100 Continue', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    expect((await client.reply()).head).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('<?xml');
    expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('takes a chunked body', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<?xml\r\n0\r\n\r\n');
    expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('bad input', () => {
  it.each([
    ['two requests in one read', GET + GET],
    ['part of a second request', `${GET}GET /`],
    ['bytes behind a body', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabX'],
  ])('%s: nothing is served', async (_, data) => {
    const client = await TlsClient.connect(harness.port);
    client.send(data);
    // Node's parser may stumble over the second request first.
    expect(await endsWith(client, /second request|bytes after the end|not HTTP/)).toBe('');
  });

  it.each([
    ['garbage', '\u0001\u0002\u0003 garbage\r\n\r\n', 'not HTTP'],
    ['an unknown method', 'FOO / HTTP/1.1\r\n\r\n', 'not HTTP'],
    [
      '16 KiB of headers',
      `GET / HTTP/1.1\r\nX: ${'a'.repeat(17000)}\r\n\r\n`,
      'request headers are over 16384 bytes',
    ],
    ['256 bytes of URL', `GET /${'a'.repeat(256)} HTTP/1.1\r\nHost: h\r\n\r\n`, 'URL is too long'],
    [
      'content length and chunks',
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'not HTTP',
    ],
  ])('%s: nothing is served', async (_, data, reason) => {
    const client = await TlsClient.connect(harness.port);
    client.send(data);
    expect(await endsWith(client, reason)).toBe('');
  });

  // Each could be read in two ways, by a proxy in front and by us.
  it.each([
    ['two content lengths', 'POST', 'Content-Length: 5\r\nContent-Length: 6\r\n', 'abcdef'],
    ['the same content length twice', 'POST', 'Content-Length: 5\r\nContent-Length: 5\r\n', 'abcde'],
    ['a list of content lengths', 'POST', 'Content-Length: 5, 5\r\n', 'abcde'],
    ['a signed content length', 'POST', 'Content-Length: +5\r\n', 'abcde'],
    ['a content length in hexadecimal', 'POST', 'Content-Length: 0x5\r\n', 'abcde'],
    ['an endless content length', 'POST', `Content-Length: ${'9'.repeat(30)}\r\n`, ''],
    ['chunks twice', 'POST', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
    ['another encoding after chunks', 'POST', 'Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'],
    ['an encoding that is none', 'POST', 'Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'],
    ['a space before the colon', 'POST', 'Content-Length : 5\r\n', 'abcde'],
    ['a folded header', 'GET', 'X-A: b\r\n c\r\n', ''],
    ['a folded length', 'POST', 'Content-Length:\r\n 5\r\n', 'abcde'],
    ['a bare line feed', 'GET', 'X-A: b\nX-C: d\r\n', ''],
    ['a bare carriage return', 'GET', 'X-A: b\rX-C: d\r\n', ''],
    ['a NUL', 'GET', 'X-A: b\0c\r\n', ''],
    ['a chunk of an absurd size', 'POST', 'Transfer-Encoding: chunked\r\n', `${'f'.repeat(20)}\r\nab\r\n`],
    ['a negative chunk', 'POST', 'Transfer-Encoding: chunked\r\n', '-1\r\nab\r\n0\r\n\r\n'],
    ['a chunk that is longer than it says', 'POST', 'Transfer-Encoding: chunked\r\n', '1\r\nab\r\n0\r\n\r\n'],
    ['chunks that end in line feeds', 'POST', 'Transfer-Encoding: chunked\r\n', '2\nab\n0\n\n'],
    ['a request behind chunks', 'POST', 'Transfer-Encoding: chunked\r\n', `0\r\n\r\n${GET}`],
  ])('%s: nothing is served', async (_, method, headers, body) => {
    const client = await TlsClient.connect(harness.port);
    client.send(`${method} / HTTP/1.1\r\nHost: h\r\n${headers}\r\n${body}`);
    expect(await endsWith(client, /not HTTP|bytes after the end|second request/)).toBe('');
  });

  it.each([
    ['a chunk announced with 1 GB', 'Transfer-Encoding: chunked', `40000000\r\n${'a'.repeat(300_000)}`],
    ['many small chunks', 'Transfer-Encoding: chunked', '8\r\naaaaaaaa\r\n'.repeat(40_000)],
  ])('%s: the limit of bodies holds', async (_, header, body) => {
    const client = await TlsClient.connect(harness.port);
    client.send(`POST / HTTP/1.1\r\nHost: h\r\n${header}\r\n\r\n${body}`);
    expect(await endsWith(client, 'request body is over 262144 bytes')).toBe('');
  });

  it('takes nothing of a body that the end of the connection cuts', async () => {
    const client = await TlsClient.connect(harness.port);
    const body =
      '<config-auth><auth><username>alice</username><password>secret</password></auth></config-auth>';
    client.send(`POST /auth HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length + 1}\r\n\r\n${body}`);
    client.socket.end();
    expect((await client.end()).rest).toBe('');
    await harness.until(() => harness.received('CLIENT_CLOSED').length > 0);
    expect(harness.received('SEC_AUTH_INIT')).toEqual([]);
  });

  it('answers no request behind CONNECT', async () => {
    harness.cookieReply = 'FAILED';
    const client = await TlsClient.connect(harness.port);
    const cookie = encodeCookie(new Uint8Array(32).fill(1));
    const connecting = `CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: h\r\nCookie: webvpn=${cookie}\r\n\r\n`;
    client.send(connecting + GET);
    const rest = await endsWith(client, 'cookie refused');
    expect(rest.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(rest).toMatch(/^HTTP\/1\.1 401 Cookie is not acceptable\r\n/);
  });

  it('refuses a body over 256 KiB', async () => {
    const client = await TlsClient.connect(harness.port);
    client.send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n${'a'.repeat(300000)}`);
    expect(await endsWith(client, 'request body is over 262144 bytes')).toBe('');
  });

  it('serves at most 16 requests', async () => {
    const client = await TlsClient.connect(harness.port);
    for (let round = 0; round < 16; round++) {
      client.send(GET);
      expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 200 /);
    }
    client.send(GET);
    expect(await endsWith(client, 'more than 16 requests')).toBe('');
  });

  it('does not let one bad client touch another', async () => {
    const good = await TlsClient.connect(harness.port);
    const bad = await TlsClient.connect(harness.port);
    bad.send('garbage\r\n\r\n');
    await bad.end();
    good.send(GET);
    expect((await good.reply()).head).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('before TLS', () => {
  it('says that it is full when the connection was lost for want of a descriptor', async () => {
    const address = { remoteIp: '192.0.2.1', remotePort: 1, ourIp: '192.0.2.2', ourPort: 443 };
    const secrets = { hmac: Buffer.alloc(32), ticketKeys: Buffer.alloc(80), ticketLifetime: 60 };
    harness.main.send('WORKER_STARTUP', {
      ...{ client: 1, origRemoteIp: '192.0.2.1', sessionStartTime: 1 },
      ...address,
      ...secrets,
    });
    expect(await harness.failure()).toBe('the worker is out of descriptors');
    expect(harness.toMain.slice(-2).map(({ name }) => name)).toEqual(['WORKER_FULL', 'CLIENT_CLOSED']);
  });

  it('says nothing about a health probe', async () => {
    connect(harness.port, '127.0.0.1').end();
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    expect(harness.received('CLIENT_CLOSED')[0]).toMatchObject({ reason: 'health-probe' });
    expect(harness.log).toEqual([]);
  });

  it.each([
    ['plain HTTP', GET],
    ['half a record', Buffer.from('1603010200010001fc', 'hex')],
  ])('explains %s', async (_, data) => {
    const socket = connect(harness.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.end(data);
    expect(await harness.failure()).not.toBe('');
  });
});
