import { describe, expect, it } from 'vitest';
import { classifyDatagram } from '../../src/core/wire/dtls-hello.js';
import { parseProxyHeader } from '../../src/core/wire/proxy-protocol.js';

interface Hello {
  readonly sessionId?: Buffer;
  readonly appId?: Buffer;
  readonly random?: Buffer;
  readonly type?: number;
  readonly version?: number;
  readonly handshakeType?: number;
  readonly fragmentOffset?: number;
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const u24 = (value: number): Buffer => Buffer.from([value >> 16, (value >> 8) & 0xff, value & 0xff]);

/** A DTLS 1.2 ClientHello, laid out by RFC 6347 §4.2. */
function hello(options: Hello = {}): Buffer {
  const { sessionId = Buffer.alloc(32, 5), appId, random = Buffer.alloc(32, 1) } = options;
  const extension =
    appId && Buffer.concat([u16(48018), u16(appId.length + 1), Buffer.from([appId.length]), appId]);
  const other = Buffer.concat([u16(23), u16(0)]);
  const extensions = Buffer.concat([other, ...(extension ? [extension] : [])]);
  const body = Buffer.concat([
    u16(0xfefd),
    random,
    Buffer.from([sessionId.length]),
    sessionId,
    Buffer.from([0]),
    u16(2),
    u16(0x00a9),
    Buffer.from([1, 0]),
    u16(extensions.length),
    extensions,
  ]);
  const { type = 22, version = 0xfefd, handshakeType = 1, fragmentOffset = 0 } = options;
  const fragment = Buffer.concat([
    Buffer.from([handshakeType]),
    u24(body.length),
    u16(0),
    u24(fragmentOffset),
    u24(body.length),
    body,
  ]);
  return Buffer.concat([Buffer.from([type]), u16(version), Buffer.alloc(8), u16(fragment.length), fragment]);
}

describe('classifyDatagram', () => {
  const id = Buffer.alloc(32, 5);
  it('finds the session id', () => {
    expect(classifyDatagram(hello())).toEqual({ kind: 'hello', id, from: 'session-id' });
    expect(classifyDatagram(hello({ version: 0x0100 }))).toMatchObject({ kind: 'hello' });
  });
  it('prefers the app id extension', () => {
    const appId = Buffer.from('app');
    expect(classifyDatagram(hello({ appId }))).toEqual({ kind: 'hello', id: appId, from: 'app-id' });
    expect(classifyDatagram(hello({ appId, sessionId: Buffer.alloc(0) }))).toMatchObject({ from: 'app-id' });
  });
  it('does not use an app id that is too long or empty', () => {
    expect(classifyDatagram(hello({ appId: Buffer.alloc(33) }))).toMatchObject({ from: 'session-id', id });
    expect(classifyDatagram(hello({ appId: Buffer.alloc(0) }))).toMatchObject({ from: 'session-id', id });
  });
  it('takes other records as such', () => {
    expect(classifyDatagram(Buffer.concat([Buffer.from([23]), u16(0xfefd), Buffer.alloc(20)]))).toEqual({
      kind: 'record',
    });
  });
  it.each([
    ['empty', Buffer.alloc(0)],
    ['12 bytes', hello().subarray(0, 12)],
    ['TLS, not DTLS', hello({ version: 0x0303 })],
    ['unknown content type', hello({ type: 99 })],
    ['ServerHello', hello({ handshakeType: 2 })],
    ['later fragment', hello({ fragmentOffset: 10 })],
    ['zero random', hello({ random: Buffer.alloc(32) })],
    ['no session id', hello({ sessionId: Buffer.alloc(0) })],
    ['session id of 33 bytes', hello({ sessionId: Buffer.alloc(33, 1) })],
    ['cut in the random', hello().subarray(0, 50)],
    ['cut before the session id length', hello().subarray(0, 59)],
    ['cut in the session id', hello().subarray(0, 70)],
  ])('drops %s', (_, datagram) => expect(classifyDatagram(datagram).kind).toBe('drop'));
  it('takes a zero random on demand', () => {
    expect(classifyDatagram(hello({ random: Buffer.alloc(32) }), true).kind).toBe('hello');
  });
  it('falls back to the session id when the extensions are cut', () => {
    const datagram = hello({ appId: Buffer.from('app') });
    for (let cut = 1; cut <= 7; cut++) {
      expect(classifyDatagram(datagram.subarray(0, datagram.length - cut))).toMatchObject({
        from: 'session-id',
      });
    }
  });
});

describe('parseProxyHeader', () => {
  const v2 = (versionCommand: number, family: number, body: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
      Buffer.from([versionCommand, family]),
      u16(body.length),
      body,
    ]);
  const ipv4 = Buffer.concat([Buffer.from([192, 0, 2, 1, 198, 51, 100, 2]), u16(1000), u16(443)]);
  const addresses = {
    source: { address: '192.0.2.1', port: 1000 },
    destination: { address: '198.51.100.2', port: 443 },
  };

  it('reads version 1', () => {
    const line = 'PROXY TCP4 192.0.2.1 198.51.100.2 1000 443\r\n';
    expect(parseProxyHeader(Buffer.from(`${line}\x16\x03`))).toEqual({
      status: 'done',
      consumed: line.length,
      addresses,
    });
    expect(parseProxyHeader(Buffer.from('PROXY UNKNOWN x y\r\n'))).toMatchObject({
      status: 'done',
      addresses: null,
    });
  });
  it('reads version 2 and skips what follows the addresses', () => {
    const header = v2(0x21, 0x11, Buffer.concat([ipv4, Buffer.from([4, 0, 1, 9])]));
    expect(parseProxyHeader(header)).toEqual({ status: 'done', consumed: header.length, addresses });
    expect(parseProxyHeader(v2(0x20, 0, Buffer.alloc(0)))).toMatchObject({ status: 'done', addresses: null });
  });
  it('skips authority, the SSL vector, unknown types and padding of version 2', () => {
    const tlv = (type: number, value: Buffer) =>
      Buffer.concat([Buffer.from([type]), u16(value.length), value]);
    const name = tlv(0x22, Buffer.from('client.example'));
    const ssl = Buffer.concat([Buffer.from([0x07, 0, 0, 0, 0]), tlv(0x21, Buffer.from('TLSv1.3')), name]);
    const extras = [
      tlv(0x02, Buffer.from('vpn.example.com')),
      tlv(0x20, ssl),
      tlv(0xee, Buffer.from('\r\n\r\nPROXY ')),
      tlv(0x04, Buffer.alloc(900)),
    ];
    const header = v2(0x21, 0x11, Buffer.concat([ipv4, ...extras]));
    const behind = Buffer.concat([header, Buffer.from([0x16, 0x03])]);
    expect(parseProxyHeader(behind)).toEqual({ status: 'done', consumed: header.length, addresses });
    expect(parseProxyHeader(header.subarray(0, -1)).status).toBe('need-more');
  });
  it('keeps the own addresses where the sender knows none', () => {
    const header = v2(0x21, 0x00, Buffer.from([0x04, 0, 0]));
    expect(parseProxyHeader(header)).toEqual({
      status: 'done',
      consumed: header.length,
      addresses: null,
    });
  });
  it('reads IPv6', () => {
    const address = Buffer.from('20010db8000000000000000000000001', 'hex');
    const header = v2(0x21, 0x21, Buffer.concat([address, Buffer.alloc(16), u16(1), u16(2)]));
    expect(parseProxyHeader(header)).toMatchObject({
      addresses: { source: { address: '2001:db8::1', port: 1 }, destination: { address: '::', port: 2 } },
    });
  });
  it('waits for every prefix of a header', () => {
    for (const header of [
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 1000 443\r\n'),
      v2(0x21, 0x11, ipv4),
    ]) {
      for (let cut = 0; cut < header.length; cut++) {
        expect(parseProxyHeader(header.subarray(0, cut)).status).toBe('need-more');
      }
    }
  });
  it.each([
    ['TLS', Buffer.from([0x16, 0x03, 0x01])],
    ['long line', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['bad address', Buffer.from('PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n')],
    ['wrong family', Buffer.from('PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n')],
    ['bad port', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n')],
    ['missing field', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n')],
    ['extra field', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n')],
    ['version 3', v2(0x31, 0x11, ipv4)],
    ['unknown command', v2(0x22, 0x11, ipv4)],
    ['UDP', v2(0x21, 0x12, ipv4)],
    ['a unix socket', v2(0x21, 0x31, Buffer.alloc(216))],
    ['short addresses', v2(0x21, 0x11, ipv4.subarray(1))],
    ['huge length', v2(0x21, 0x11, Buffer.alloc(5000))],
  ])('refuses %s', (_, header) => expect(parseProxyHeader(header).status).toBe('error'));
});
