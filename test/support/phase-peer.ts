/**
 * A client that stops on its way in and stays there: `phase-peer.ts HOST PHASE`. Says `reached` when it is there, and
 * `closed` when the server ends the connection.
 *   handshake    half of a ClientHello is sent
 *   before-login the TLS handshake is complete
 *   passwords    the user's name is given, the password asked for
 */
import { connect } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { authPost, authReply } from './https.ts';

export type Phase = 'handshake' | 'before-login' | 'passwords';

const [host = '', phase] = process.argv.slice(2) as [string, Phase];
const RECORD_OF_512 = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);

const reached = (): void => console.log('reached');

function giveName(socket: TLSSocket): void {
  const { path, headers = [], body = '' } = authPost('/auth', authReply('<username>carol</username>'));
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  let reply = '';
  socket.on('data', (chunk: Buffer) => {
    reply += chunk;
    if (reply.includes('type="password"')) reached();
  });
}

const tcp = connect({ host, port: 443 });
tcp.on('error', () => {
  // 'close' follows and tells.
});
tcp.on('close', () => console.log('closed'));
if (phase === 'handshake') tcp.on('connect', () => tcp.write(RECORD_OF_512, reached));
else {
  const tls = connectTls({ socket: tcp, rejectUnauthorized: false }, () => {
    if (phase === 'passwords') giveName(tls);
    else reached();
  });
  tls.on('error', () => {
    // As above.
  });
  tls.resume();
}
