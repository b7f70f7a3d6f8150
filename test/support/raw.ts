/** Exact bytes to the server, from a client's namespace. */
import { join } from 'node:path';
import { type Lab, outside } from './lab.ts';

/** Input of raw-peer.ts. */
export interface RawRequest {
  readonly protocol: 'tcp' | 'tls' | 'udp';
  readonly host: string;
  readonly port: number;
  /** base64. */
  readonly chunks: readonly string[];
  /** Between two chunks. Milliseconds. */
  readonly everyMs: number;
  /** Waits this long after the last for the end. Milliseconds. */
  readonly holdMs: number;
}
export interface RawOutcome {
  /** What the server sent, one character a byte. */
  readonly reply: string;
  /** 'close', an error's code, or 'still open' after holdMs. */
  readonly closed: string;
}

const peer = join(import.meta.dirname, 'raw-peer.ts');

/** Sends chunks from client host `on` and waits for the end of the connection, at most `holdMs`. */
export async function sendRaw(
  lab: Lab,
  protocol: RawRequest['protocol'],
  chunks: readonly (Buffer | string)[],
  { on = 0, everyMs = 0, holdMs = 3_000 } = {},
): Promise<RawOutcome> {
  const request: RawRequest = {
    protocol,
    host: outside.server4,
    port: 443,
    chunks: chunks.map((chunk) => Buffer.from(chunk).toString('base64')),
    everyMs,
    holdMs,
  };
  const input = JSON.stringify(request);
  const timeoutMs = 30_000 + holdMs + everyMs * chunks.length;
  return JSON.parse(await lab.client(on).must([process.execPath, peer], { input, timeoutMs })) as RawOutcome;
}

/** A DTLS 1.2 ClientHello with the given session id: enough for the dispatch of datagrams, not for a handshake. */
export function clientHello(sessionId: Buffer): Buffer {
  const random = Buffer.alloc(32, 0x5a);
  const suites = Buffer.from([0x00, 0x02, 0x00, 0xa9]);
  const body = Buffer.concat([
    Buffer.from([0xfe, 0xfd]),
    random,
    Buffer.from([sessionId.length]),
    sessionId,
    Buffer.from([0]),
    suites,
    Buffer.from([1, 0]),
  ]);
  const length = [0, body.length >> 8, body.length & 0xff];
  const handshake = Buffer.from([1, ...length, 0, 0, 0, 0, 0, ...length]);
  const record = Buffer.alloc(13);
  record.writeUInt8(22, 0);
  record.writeUInt16BE(0xfeff, 1);
  record.writeUInt16BE(handshake.length + body.length, 11);
  return Buffer.concat([record, handshake, body]);
}
