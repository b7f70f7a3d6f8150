/**
 * One TLS handshake after the other, four at a time, each with a new connection that ends after it: `handshake-peer.ts HOST`.
 * Says how many have been good, and ends after `failed` and the reason at the first that is not.
 */
import { connect } from 'node:tls';

const LANES = 4;
const [host = ''] = process.argv.slice(2);
let good = 0;

function handshake(): void {
  const socket = connect({ host, port: 443, rejectUnauthorized: false }, () => {
    good++;
    socket.end();
  });
  socket.on('error', ({ message }) => {
    console.log(`failed ${message}`);
    process.exit(1);
  });
  socket.on('close', handshake);
  socket.resume();
}

for (let lane = 0; lane < LANES; lane++) handshake();
setInterval(() => console.log(`good ${good}`), 200);
