/** Requests out of reads, however those are cut; what of HTTP is taken and what is not. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { RequestHead } from '../../src/core/wire/request-head.js';
import { RequestReader, type WholeRequest } from '../../src/core/wire/request-reader.js';

/** Gives `parts` to a reader as one read each; what came out of the last. */
function read(...parts: string[]): WholeRequest | null {
  const reader = new RequestReader(() => undefined);
  let whole: WholeRequest | null = null;
  for (const part of parts) {
    expect(whole).toBeNull();
    const chunk = Buffer.from(part, 'latin1');
    whole = reader.push(chunk);
    chunk.fill(0);
  }
  expect(reader.partial).toBe(whole === null && parts.some((part) => part.trim() !== ''));
  return whole;
}
const head = (fields: string, line = 'GET / HTTP/1.1') => read(`${line}\r\n${fields}\r\n`)?.head;
const chunked = (body: string) => read(`POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);

const WHOLE = {
  'a request': 'GET /auth?x HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\n\r\n',
  'one after empty lines': '\r\n\r\nGET / HTTP/1.0\r\n\r\n',
  'a body with a length': 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n\r\n\r\nab\0\r\n',
  'a body in chunks':
    'POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\n\r\na\r\n0002;x="y"\r\nbc\r\n0\r\nT: x\r\n\r\n',
};

describe('cut anywhere', () => {
  test.each(Object.entries(WHOLE))('%s comes out the same', (_, text) => {
    const expected = read(text);
    expect(expected).not.toBeNull();
    for (let cut = 0; cut <= text.length; cut++)
      expect(read(text.slice(0, cut), ...(cut < text.length ? [text.slice(cut)] : []))).toEqual(expected);
    expect(read(...text)).toEqual(expected);
  });

  test('what is kept of a request that does not end is wiped', () => {
    const reader = new RequestReader(() => undefined);
    expect(reader.push(Buffer.from('POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nsec'))).toBeNull();
    reader.wipe();
    expect(reader.partial).toBe(false);
    expect(reader.push(Buffer.from('GET / HTTP/1.1\r\n\r\n'))?.body).toHaveLength(0);
  });
});

describe('secrets', () => {
  const request =
    'POST /auth HTTP/1.1\r\nCookie: webvpn=secret\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecret\r\n0\r\n\r\n';

  /** Every buffer that the reader makes from here on; each test ends with a look into them. */
  function buffersMade(): Buffer[] {
    const made: Buffer[] = [];
    for (const name of ['from', 'concat'] as const) {
      const real = Buffer[name] as (...args: unknown[]) => Buffer<ArrayBuffer>;
      const spy = vi.spyOn(Buffer, name).mockImplementation((...args: unknown[]) => {
        const buffer = real(...args);
        made.push(buffer);
        return buffer;
      });
      onTestFinished(() => spy.mockRestore());
    }
    return made;
  }
  const left = (made: readonly Buffer[]) => made.filter((buffer) => buffer.some((byte) => byte !== 0));

  test.each([1, 7, 60])('of a request in reads of %d bytes nothing is left but its body', (size) => {
    const reads = (request.match(new RegExp(`.{1,${size}}`, 'gs')) ?? []).map((part) => Buffer.from(part));
    const made = buffersMade();
    const reader = new RequestReader(() => undefined);
    const whole = reads.map((bytes) => reader.push(bytes)).at(-1);
    expect(whole?.head.headers.cookie).toBe('webvpn=secret');
    expect(made.length).toBeGreaterThan(reads.length);
    expect(left(made)).toEqual([whole?.body]);
  });

  test.each(['after a part of the head', 'after a part of the body'])('wiped %s nothing is left', (where) => {
    const end = where.endsWith('head') ? request.indexOf('cret') : request.lastIndexOf('cret');
    const reads = [request.slice(0, 30), request.slice(30, end)].map((part) => Buffer.from(part));
    const made = buffersMade();
    const reader = new RequestReader(() => undefined);
    for (const bytes of reads) expect(reader.push(bytes)).toBeNull();
    expect(left(made)).not.toEqual([]);
    reader.wipe();
    expect(left(made)).toEqual([]);
  });

  test('a head in several reads that is refused leaves nothing', () => {
    const reads = [request.slice(0, 40), 'x\0'].map((part) => Buffer.from(part));
    const made = buffersMade();
    const reader = new RequestReader(() => undefined);
    expect(reader.push(reads[0] as Buffer)).toBeNull();
    expect(() => reader.push(reads[1] as Buffer)).toThrow('not HTTP');
    expect(made.length).toBeGreaterThan(1);
    expect(left(made)).toEqual([]);
  });
});

describe('the head', () => {
  test('names in any case, values without the spaces around', () => {
    const headers = head('X-A:  b c\t\r\nUSER-agent: me\r\nX-Empty:\r\n__proto__: x\r\n')?.headers ?? {};
    expect(Object.entries(headers)).toEqual([
      ['x-a', 'b c'],
      ['user-agent', 'me'],
      ['x-empty', ''],
      ['__proto__', 'x'],
    ]);
  });

  test('repeated headers are lists, cookies joined as cookies are, of a name the first counts', () => {
    const fields = ['Cookie: a=1', 'Cookie: b=2', 'X-L: 1', 'X-L: 2', 'User-Agent: one', 'User-Agent: two'];
    expect(head(`${fields.join('\r\n')}\r\n`)?.headers).toEqual({
      cookie: 'a=1; b=2',
      'x-l': '1, 2',
      'user-agent': 'one',
    });
  });

  test.each<[string, string, Partial<RequestHead>]>([
    ['GET / HTTP/1.1', '', { last: false, minorVersion: 1, body: 0 }],
    ['GET / HTTP/1.0', 'Connection: keep-alive\r\n', { last: true, minorVersion: 0 }],
    ['GET / HTTP/1.1', 'Connection: x, Close\r\n', { last: true }],
    ['GET / HTTP/1.1', 'Connection: closed\r\n', { last: false }],
    [
      'POST / HTTP/1.1',
      'Expect: 100-Continue\r\nContent-Length: 7\r\n\r\n1234567',
      { expectsContinue: true, body: 7 },
    ],
    ['POST / HTTP/1.0', 'Expect: 100-continue\r\n', { expectsContinue: false }],
    ['OPTIONS * HTTP/1.1', '', { url: '*' }],
    ['GET https://vpn/auth HTTP/1.1', '', { url: 'https://vpn/auth' }],
    ['CONNECT CSCOSSLC/tunnel HTTP/1.1', 'Content-Length: 3\r\n', { url: 'CSCOSSLC/tunnel', body: 0 }],
  ])('%s with %j', (line, fields, expected) => {
    const whole = read(fields.includes('\r\n\r\n') ? `${line}\r\n${fields}` : `${line}\r\n${fields}\r\n`);
    expect(whole?.head).toMatchObject(expected);
  });

  test.each([
    ['HTTP/0.9', 'GET / HTTP/0.9', ''],
    ['HTTP/2', 'GET / HTTP/2.0', ''],
    ['no version', 'GET /', ''],
    ['two spaces', 'GET  / HTTP/1.1', ''],
    ['a lower-case method', 'get / HTTP/1.1', ''],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0', ''],
    ['a target without slash', 'GET auth HTTP/1.1', ''],
    ['a target that is not ASCII', 'GET /\xe9 HTTP/1.1', ''],
    ['a line without colon', 'GET / HTTP/1.1', 'X-A\r\n'],
    ['no name', 'GET / HTTP/1.1', ': a\r\n'],
    ['a carriage return at the end', 'GET / HTTP/1.1', 'X-A: b\r\r\n'],
    ['two hosts', 'GET / HTTP/1.1', 'Host: a\r\nHost: b\r\n'],
    ['chunks in HTTP/1.0', 'POST / HTTP/1.0', 'Transfer-Encoding: chunked\r\n'],
  ])('%s is refused', (_, line, fields) => {
    expect(() => head(fields, line)).toThrow('not HTTP');
  });

  test.each(['\x16\x03', 'GEX', 'GETS /', 'GET / HTTP/1.1\r\nX\0', '\r\rG', '\n'])(
    '%j is refused before the head is whole',
    (start) => expect(() => read(start)).toThrow('not HTTP'),
  );

  test('its limit counts every byte, also in small reads', () => {
    const around = 'GET / HTTP/1.1\r\nX: \r\n\r\n'.length;
    const fitting = `GET / HTTP/1.1\r\nX: ${'a'.repeat(16_384 - around)}\r\n\r\n`;
    expect(read(fitting)).not.toBeNull();
    expect(read(...(fitting.match(/.{1,100}/gs) ?? []))).not.toBeNull();
    const longer = fitting.replace('a', 'aa');
    expect(() => read(longer)).toThrow('over 16384 bytes');
    expect(() => read(...(longer.match(/.{1,100}/gs) ?? []))).toThrow('over 16384 bytes');
  });

  test('is told before its body is waited for', () => {
    const heads: string[] = [];
    const reader = new RequestReader(({ url }) => heads.push(url));
    reader.push(Buffer.from('POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n'));
    expect(heads).toEqual(['/a']);
  });
});

describe('the body', () => {
  test('bytes behind it are refused, but for CONNECT', () => {
    expect(() => read(`${WHOLE['a request']}G`)).toThrow('bytes after the end of a request');
    expect(() => read(`${WHOLE['a body in chunks']}\r\n`)).toThrow('bytes after the end of a request');
    expect(read('CONNECT /x HTTP/1.1\r\n\r\n\x17rest')?.rest.toString()).toBe('\x17rest');
  });

  test('chunks: their data, without what is around', () => {
    expect(chunked('3\r\nabc\r\n00A;q\r\n0123456789\r\n0\r\nX: y\r\nZ: \xff\r\n\r\n')?.body.toString()).toBe(
      'abc0123456789',
    );
  });

  test.each([
    ['no size', '\r\n'],
    ['a space behind the size', '1 \r\na'],
    ['nine digits', '000000001\r\n'],
    ['a control character in an extension', '1;\0\r\na'],
    ['a trailer without colon', '0\r\nX\r\n\r\n'],
    ['a bare line feed behind data', '1\r\na\n0\r\n\r\n'],
  ])('chunks with %s are refused', (_, body) => {
    expect(() => chunked(body)).toThrow('not HTTP');
  });

  test('extensions and trailers have a limit together', () => {
    const extension = `1;${'x'.repeat(1000)}\r\na\r\n`;
    expect(chunked(`${extension.repeat(16)}0\r\n\r\n`)?.body).toHaveLength(16);
    expect(() => chunked(extension.repeat(17))).toThrow('endless');
    expect(() => chunked(`0\r\n${'X: y\r\n'.repeat(3000)}`)).toThrow('endless');
    expect(() => chunked(`1;${'x'.repeat(20_000)}`)).toThrow('endless');
  });
});
