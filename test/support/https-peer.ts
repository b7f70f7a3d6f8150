/**
 * Sends exact HTTP requests over one TLS connection from inside a namespace; used where openconnect would not say what
 * is wanted. Reads one JSON object from standard input and prints one to standard output (see https.ts for both).
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import type { Exchange, Reply, Request } from './https.ts';

const { host, port, requests, lingerMs } = JSON.parse(readFileSync(0, 'utf8')) as Exchange;
const replies: Reply[] = [];
let received = Buffer.alloc(0);
let closed: string | undefined;
let wake = (): void => undefined;

const socket = connect({ host, port, rejectUnauthorized: false });
socket.on('data', (chunk: Buffer) => {
  received = Buffer.concat([received, chunk]);
  wake();
});
socket.on('error', (error: NodeJS.ErrnoException) => {
  closed = error.code ?? error.message;
  wake();
});
socket.on('close', () => {
  closed ??= 'close';
  wake();
});

const change = (): Promise<void> =>
  new Promise((resolve) => {
    wake = resolve;
  });

/** Cuts one whole reply off what was received; undefined while it is incomplete. */
function takeReply(): Reply | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [status = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
  const headers = lines.map((line) => line.split(/: (.*)/s, 2) as [string, string]);
  const length = Number(headers.find(([name]) => name.toLowerCase() === 'content-length')?.[1] ?? 0);
  const whole = end + 4 + length;
  if (received.length < whole) return undefined;
  const body = received.subarray(end + 4, whole).toString();
  received = received.subarray(whole);
  return { status, headers, body };
}

function encode({ method, path, headers = [], body = '' }: Request): string {
  const own = body === '' ? [] : [['Content-Length', String(Buffer.byteLength(body))]];
  const lines = [...headers, ...own].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n${body}`;
}

for (const request of requests) {
  if (closed) break;
  socket.write(encode(request));
  for (;;) {
    const reply = takeReply();
    if (reply) {
      replies.push(reply);
      break;
    }
    if (closed) break;
    await change();
  }
}
if (lingerMs !== undefined) {
  const timer = setTimeout(() => {
    closed ??= 'still open';
    wake();
  }, lingerMs);
  while (!closed) await change();
  clearTimeout(timer);
}
socket.destroy();
console.log(JSON.stringify({ replies, closed }));
