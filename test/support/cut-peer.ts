/**
 * A client whose tunnel ends in bad ways: `cut-peer.ts HOST COOKIE`. Opens one tunnel after the other with the cookie,
 * ends each in the next way, and says `NAME` when the server has closed its side, too.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { connectRequest } from './https.ts';

const [host = '', cookie = ''] = process.argv.slice(2);
const RECORD_HEAD = Buffer.from([0x17, 0x03, 0x03, 0x01, 0x00]);
/** A data packet of 100 bytes. */
const PACKET_HEAD = Buffer.from([0x53, 0x54, 0x46, 0x01, 0x00, 0x64, 0x00, 0x00]);

const endings: Record<string, (tcp: Socket, tls: TLSSocket) => void> = {
  'FIN without close_notify': (tcp) => tcp.end(),
  'half a TLS record': (tcp) => tcp.end(Buffer.concat([RECORD_HEAD, Buffer.alloc(100)])),
  'a TLS record that is not authentic': (tcp) => tcp.write(Buffer.concat([RECORD_HEAD, Buffer.alloc(256)])),
  'half a CSTP packet': (_, tls) => tls.end(Buffer.concat([PACKET_HEAD, Buffer.alloc(10)])),
  'close_notify without DISCONNECT': (_, tls) => tls.end(),
  'a reset': (tcp) => tcp.resetAndDestroy(),
};

async function openTunnel(): Promise<{ tcp: Socket; tls: TLSSocket }> {
  // The half-closed client goes on listening.
  const tcp = connect({ host, port: 443, allowHalfOpen: true });
  // TLS on a pair of its own: what is written to `tcp` goes out as it is.
  const [near, far] = duplexPair();
  far.pipe(tcp, { end: false });
  tcp.pipe(far, { end: false });
  const tls = connectTls({ socket: near, rejectUnauthorized: false });
  for (const each of [tcp, tls]) each.on('error', () => undefined);
  await once(tls, 'secureConnect');
  const { method, path, headers = [] } = connectRequest(cookie);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  tls.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
  const [reply] = (await once(tls, 'data')) as [Buffer];
  if (!/^HTTP\/1\.1 200 /.test(String(reply))) throw new Error(`no tunnel: ${reply}`);
  tls.resume();
  return { tcp, tls };
}

for (const [name, end] of Object.entries(endings)) {
  const { tcp, tls } = await openTunnel();
  const over = new Promise((resolve) => {
    tcp.once('end', resolve);
    tcp.once('close', resolve);
  });
  end(tcp, tls);
  await over;
  tcp.destroy();
  console.log(name);
}
