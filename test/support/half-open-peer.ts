/**
 * Connections that begin a TLS handshake and never end it: `half-open-peer.ts HOST COUNT FIRST LAST`, in turn from the addresses
 * 10.70.1.FIRST to 10.70.1.LAST of this machine. Says how many were made and how many of them are open, and stays.
 */
import { connect } from 'node:net';

const [host = '', count = '', first = '', last = ''] = process.argv.slice(2);
const RECORD_OF_512 = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);
/** So many SYNs wait at once; the server's queue is not what is to be measured. */
const PARALLEL = 200;

let begun = 0;
let made = 0;
let open = 0;

function next(): void {
  if (begun >= Number(count)) return;
  const address = Number(first) + (begun++ % (Number(last) - Number(first) + 1));
  const socket = connect({ host, port: 443, localAddress: `10.70.1.${address}` });
  socket.on('connect', () => {
    made += 1;
    open += 1;
    socket.write(RECORD_OF_512);
    next();
  });
  socket.on('error', () => {
    // 'close' follows.
  });
  socket.on('close', () => {
    if (socket.bytesWritten > 0) open -= 1;
    else next();
  });
  socket.resume();
}

for (let n = 0; n < PARALLEL; n++) next();
setInterval(() => console.log(`made ${made} open ${open}`), 500);
