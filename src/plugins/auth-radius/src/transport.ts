/** What carries packets to a RADIUS server and back: connected UDP sockets (RFC 2865), or TLS (RadSec, RFC 6614). */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { connect, type TLSSocket } from 'node:tls';
import { HEADER_BYTES, MAX_PACKET_BYTES } from './packet.js';
import type { ServerAddress, TlsFiles } from './radcli-conf.js';

export interface Transport {
  /** `failed` is told when the packet cannot leave. */
  send(packet: Uint8Array, failed: (error: Error) => void): void;
  close(): void;
}

export interface TransportEvents {
  received(packet: Buffer): void;
  /** Nothing of what is on its way is answered. `lost`: the transport is of no use any more. */
  failed(error: Error, lost: boolean): void;
}

/** A connected socket takes datagrams of the server alone, and learns that nobody listens there. */
export async function openUdp(
  { host, port }: ServerAddress,
  bindAddress: string | null,
  events: TransportEvents,
): Promise<Transport> {
  const { address, family } = await lookup(host);
  const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
  await new Promise<void>((resolve, reject) => {
    const fail = (error?: Error): void => {
      socket.close();
      reject(error ?? new Error('not connected'));
    };
    socket.once('error', fail);
    const join = (): void => {
      socket.connect(port, address, (error?: Error) => {
        if (error) return fail(error);
        socket.off('error', fail);
        resolve();
      });
    };
    if (bindAddress === null) join();
    else socket.bind({ address: bindAddress, port: 0 }, join);
  });
  socket.on('error', (error) => events.failed(error, false));
  socket.on('message', (datagram) => events.received(datagram));
  return {
    send: (packet, failed) => socket.send(packet, (error) => error && failed(error)),
    close: () => socket.close(),
  };
}

/** Rejects when no connection was made within `timeoutMs`, or the server has not the certificate that it must have. */
export async function openTls(
  { host, port }: ServerAddress,
  { ca, cert, key, verifyHostname }: TlsFiles,
  { bindAddress, timeoutMs }: { readonly bindAddress: string | null; readonly timeoutMs: number },
  events: TransportEvents,
): Promise<Transport> {
  const socket = connect({
    host,
    port,
    ca,
    minVersion: 'TLSv1.2',
    ...(cert && key && { cert, key }),
    ...(bindAddress !== null && { localAddress: bindAddress }),
    ...(!verifyHostname && { checkServerIdentity: () => undefined }),
  });
  await secured(socket, timeoutMs);
  socket.on('error', (error) => events.failed(error, true));
  socket.on('close', () => events.failed(new Error('the server has closed the connection'), true));
  const cut = packetsOf((packet) => events.received(packet));
  socket.on('data', (chunk: Buffer) => {
    try {
      cut(chunk);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  return {
    send: (packet, failed) => socket.write(packet, (error) => error && failed(error)),
    close: () => socket.destroy(),
  };
}

function secured(socket: TLSSocket, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error('no TLS connection in time')), timeoutMs);
    socket.once('error', reject);
    socket.once('close', () => clearTimeout(timer));
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Cuts a stream into packets by their length (RFC 6613 §2.6.4). What it returns throws RangeError for a length that is none. */
export function packetsOf(give: (packet: Buffer) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt16BE(2);
      if (length < HEADER_BYTES || length > MAX_PACKET_BYTES)
        throw new RangeError(`a packet of ${length} bytes`);
      if (rest.length < length) return;
      give(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  };
}
