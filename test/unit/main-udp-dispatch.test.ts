import { describe, expect, it } from 'vitest';
import { UdpDispatch } from '../../src/core/main/udp-dispatch.js';
import type { SocketAddress } from '../../src/core/native/types.js';
import {
  addClient,
  clientHello,
  cookieRequest,
  dataRecord,
  FakeWorker,
  makeSessions,
  SID,
  secmodSession,
  sessionConfig,
  silent,
} from './main-support.js';

const local = { address: '192.0.2.1', port: 443 };

async function setUp() {
  const parts = makeSessions();
  const clock = { ms: 0 };
  const connected: SocketAddress[] = [];
  const dispatch = new UdpDispatch({
    io: {
      connectUdp: (_local, remote) => {
        connected.push(remote);
        return 200 + connected.length;
      },
      close: () => {},
    },
    clients: parts.clients,
    log: silent,
    nowMs: () => clock.ms,
    allowZeroRandom: false,
  });
  const worker = new FakeWorker();
  const open = async (ip: string, sid: Uint8Array) => {
    const client = addClient(parts.clients, worker, ip);
    await parts.sessions.open(client, cookieRequest(client.id, sid));
    return client;
  };
  const send = (data: Buffer, address: string, port = 5000) =>
    dispatch.handle({ data, remote: { address, port }, local });
  return { ...parts, clock, connected, dispatch, worker, open, send };
}

describe('UdpDispatch', () => {
  it('hands the socket and the first datagram to the worker of the session', async () => {
    const { open, send, worker, connected } = await setUp();
    const client = await open('198.51.100.7', SID);
    const hello = clientHello(client.session?.dtlsSessionId ?? SID);
    expect(send(hello, '198.51.100.7')).toBe('handed-over');
    expect(connected).toEqual([{ address: '198.51.100.7', port: 5000 }]);
    expect(worker.udp).toEqual([{ client: client.id, hello: true, data: hello, fd: 201 }]);
  });

  it('drops hellos of unknown sessions and what is no DTLS', async () => {
    const { open, send, connected, dispatch } = await setUp();
    await open('198.51.100.7', SID);
    expect(send(clientHello(SID), '198.51.100.7')).toBe('unknown');
    expect(send(Buffer.from('GET / HTTP/1.1\r\n'), '198.51.100.7')).toBe('malformed');
    expect(connected).toEqual([]);
    expect(dispatch.counts).toMatchObject({ unknown: 1, malformed: 1, 'handed-over': 0 });
  });

  it('makes one socket of a hello and its retransmissions, and another after 3 seconds', async () => {
    const { open, send, clock, connected } = await setUp();
    const client = await open('198.51.100.7', SID);
    const hello = clientHello(client.session?.dtlsSessionId ?? SID);
    expect(send(hello, '198.51.100.7')).toBe('handed-over');
    clock.ms += 2999;
    expect(send(hello, '198.51.100.7')).toBe('too-soon');
    clock.ms += 1;
    expect(send(hello, '198.51.100.7')).toBe('handed-over');
    expect(connected).toHaveLength(2);
  });

  it('lets the client through while somebody else replays its hello', async () => {
    const { open, send } = await setUp();
    const client = await open('198.51.100.7', SID);
    const hello = clientHello(client.session?.dtlsSessionId ?? SID);
    expect(send(hello, '203.0.113.66')).toBe('handed-over');
    expect(send(hello, '203.0.113.67')).toBe('too-soon');
    expect(send(hello, '198.51.100.7')).toBe('handed-over');
  });

  it('finds records without a hello by address, only if one session has it', async () => {
    const { open, send, worker } = await setUp();
    const first = await open('198.51.100.7', SID);
    expect(send(dataRecord, '198.51.100.7', 6000)).toBe('handed-over');
    expect(worker.udp.at(-1)).toMatchObject({ client: first.id, hello: false });
    const second = await open(
      '203.0.113.5',
      SID.map((byte) => byte + 1),
    );
    await open(
      '203.0.113.5',
      SID.map((byte) => byte + 2),
    );
    expect(send(dataRecord, '203.0.113.5')).toBe('unknown');
    // The last DTLS address decides before the TCP address.
    expect(send(clientHello(second.session?.dtlsSessionId ?? SID), '203.0.113.5')).toBe('handed-over');
    expect(send(dataRecord, '203.0.113.5')).toBe('too-soon');
  });

  it('does not serve sessions without UDP, ending ones and those that are gone', async () => {
    const { open, send, secmod, sessions } = await setUp();
    secmod.answer = ({ sid }) => secmodSession(sid, { config: sessionConfig({ noUdp: true }) });
    const noUdp = await open('198.51.100.7', SID);
    expect(send(clientHello(noUdp.session?.dtlsSessionId ?? SID), '198.51.100.7')).toBe('not-open');
    secmod.answer = ({ sid }) => secmodSession(sid);
    const ending = await open(
      '198.51.100.8',
      SID.map((byte) => byte + 1),
    );
    sessions.disconnect(ending, 'server-disconnect');
    expect(send(clientHello(ending.session?.dtlsSessionId ?? SID), '198.51.100.8')).toBe('not-open');
    sessions.close(ending, 'server-disconnect', '', null);
    expect(send(clientHello(ending.session?.dtlsSessionId ?? SID), '198.51.100.8')).toBe('unknown');
  });

  it('keeps the id of the old connection from working after the cookie moved', async () => {
    const { open, send } = await setUp();
    const older = await open('198.51.100.7', SID);
    const id = older.session?.dtlsSessionId ?? SID;
    await open('198.51.100.7', SID);
    expect(send(clientHello(id), '198.51.100.7')).toBe('unknown');
  });
});
