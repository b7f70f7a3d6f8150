/**
 * Sends exact bytes from inside a namespace and tells what came back. Reads one JSON object from standard input and
 * prints one (see raw.ts for both).
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { RawOutcome, RawRequest } from './raw.ts';

const request = JSON.parse(readFileSync(0, 'utf8')) as RawRequest;
const { protocol, host, port, chunks, everyMs, holdMs } = request;
const bytes = chunks.map((chunk) => Buffer.from(chunk, 'base64'));
const received: Buffer[] = [];

function finish(closed: string): void {
  const outcome: RawOutcome = { reply: Buffer.concat(received).toString('latin1'), closed };
  process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
}

/** Sends the chunks one after the other, then waits for the end. */
function feed(send: (chunk: Buffer) => void): void {
  const next = bytes.shift();
  if (!next) {
    setTimeout(finish, holdMs, 'still open');
    return;
  }
  send(next);
  setTimeout(feed, everyMs, send);
}

function overStream(socket: Socket, ready: 'connect' | 'secureConnect'): void {
  socket.on(ready, () => feed((chunk) => socket.write(chunk)));
  socket.on('data', (chunk) => received.push(chunk));
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  socket.on('close', () => finish('close'));
}

if (protocol === 'udp') {
  const socket = createSocket('udp4');
  socket.on('message', (message) => received.push(message));
  socket.on('error', (error) => finish(error.message));
  socket.connect(port, host, () => feed((chunk) => socket.send(chunk)));
} else if (protocol === 'tcp') overStream(connectTcp({ host, port }), 'connect');
else overStream(connectTls({ host, port, rejectUnauthorized: false }), 'secureConnect');
