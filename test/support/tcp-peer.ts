/**
 * Small TCP peer that a test runs inside a namespace, to move known bytes and compare their hashes.
 *   tcp-peer.ts serve PORT          accepts connections; the first byte says what the client wants ('u' or 'd')
 *   tcp-peer.ts up HOST PORT BYTES  sends random bytes
 *   tcp-peer.ts down HOST PORT BYTES
 * Each side of a transfer prints one line: the SHA-256 of what it sent or received. 'd' is followed by the wanted
 * number of bytes, as 4 bytes, most significant first.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const CHUNK = 64 * 1024;
const DOWN_HEADER = 5;

/** Sends `bytes` random bytes and ends the stream's writing side. */
async function sendRandom(socket: Socket, bytes: number): Promise<void> {
  const hash = createHash('sha256');
  const chunks = function* (): Generator<Buffer> {
    for (let left = bytes; left > 0; left -= CHUNK) {
      const chunk = randomBytes(Math.min(left, CHUNK));
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(Readable.from(chunks()), socket);
  console.log(hash.digest('hex'));
}

async function receive(chunks: AsyncIterable<Buffer>): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  console.log(hash.digest('hex'));
}

function serve(socket: Socket): void {
  let head = Buffer.alloc(0);
  const look = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const wants = String.fromCharCode(head[0] ?? 0);
    if (wants === 'd' && head.length < DOWN_HEADER) return;
    socket.off('data', look);
    socket.pause();
    if (wants === 'd') void sendRandom(socket, head.readUInt32BE(1));
    else {
      socket.unshift(head.subarray(1));
      void receive(socket).then(() => socket.end());
    }
  };
  socket.on('data', look);
  socket.on('error', (error) => console.log(`error ${error.message}`));
}

const [verb, ...words] = process.argv.slice(2);
if (verb === 'serve') {
  createServer({ allowHalfOpen: true }, serve).listen(Number(words[0]), '::', () => console.log('ready'));
} else {
  const [host = '', port, bytes] = words;
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  if (verb === 'up') {
    socket.write('u');
    // The far side closes when it has everything.
    const farEnd = receiveQuietly(socket);
    await sendRandom(socket, Number(bytes));
    await farEnd;
  } else {
    const header = Buffer.alloc(DOWN_HEADER, 'd');
    header.writeUInt32BE(Number(bytes), 1);
    socket.end(header);
    await receive(socket);
  }
}

async function receiveQuietly(socket: Socket): Promise<void> {
  socket.resume();
  await new Promise((resolve) => {
    socket.once('end', resolve);
  });
}
