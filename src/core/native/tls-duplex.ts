/**
 * A TlsConnection as a Node stream.
 *
 * Theory of operation. Readable: onData pushes; when the reader is slow, the connection is paused until the
 * stream asks again, so the client's TCP window closes. Writable: a write that reports a full buffer holds
 * back its call-back until onDrain. Ending flushes in the addon, so a stream that was ended is not destroyed
 * at once but given time. On CONNECT, detach() takes the connection out of the stream for Dataplane.open().
 */
import { Duplex } from 'node:stream';
import { native } from './index.js';
import type { TlsConnection, TlsHandlers, TlsInfo, TlsServerContext } from './tls-types.js';

/** How long an ended connection may take to flush before it is cut, milliseconds. */
const FLUSH_LIMIT_MS = 5000;

export interface TlsDuplexHandlers {
  onSign: TlsHandlers['onSign'];
  /** Handshake finished; data follows. */
  onSecure?: (info: TlsInfo) => void;
  /** The descriptor is closed. Exactly once, unless detach() was called. `bytesRead` 0: a TCP health probe. */
  onClose?: (error: Error | null, bytesRead: number) => void;
}

export interface Detached {
  readonly connection: TlsConnection;
  /** Plaintext that had arrived but nobody has read. */
  readonly head: Buffer;
}

type WriteCallback = (error?: Error | null) => void;

/** Takes ownership of `fd`, an accepted TCP socket. */
export function acceptTlsDuplex(
  context: TlsServerContext,
  fd: number,
  handlers: TlsDuplexHandlers,
): TlsDuplex {
  return new TlsDuplex(handlers, (tlsHandlers) => native.acceptTls(context, fd, tlsHandlers));
}

export class TlsDuplex extends Duplex {
  readonly #connection: TlsConnection;
  readonly #handlers: TlsDuplexHandlers;
  #state: 'open' | 'ended' | 'closed' | 'detached' = 'open';
  #paused = false;
  #readEnded = false;
  #blockedWrite: WriteCallback | null = null;

  /** @param accept starts the connection with these handlers; acceptTlsDuplex() outside of tests */
  constructor(handlers: TlsDuplexHandlers, accept: (handlers: TlsHandlers) => TlsConnection) {
    super({ allowHalfOpen: true });
    this.#handlers = handlers;
    this.#connection = accept({
      onSign: (...request) => handlers.onSign(...request),
      onSecure: (info) => handlers.onSecure?.(info),
      onData: (data) => this.#onData(data),
      onEnd: () => this.#endReading(),
      onDrain: () => this.#releaseWrite(null),
      onClose: (error, bytesRead) => this.#onClose(error, bytesRead),
    });
  }

  /** For completeSign(). */
  get connection(): TlsConnection {
    return this.#connection;
  }

  /** Flushes, sends a fatal TLS alert (49 is access_denied) and closes. */
  endWithAlert(alert: number): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#connection.endWithAlert(alert);
    this.destroy();
  }

  /** Takes the connection out; the stream is dead afterwards and calls no handler. */
  detach(): Detached {
    if (this.#state !== 'open') throw new Error(`the connection is ${this.#state}`);
    // No data must go where nobody looks between here and the hand-over.
    this.#connection.pause();
    const head = readAll(this);
    this.#state = 'detached';
    this.destroy();
    return { connection: this.#connection, head };
  }

  override _read(): void {
    if (!this.#paused || this.#state !== 'open') return;
    this.#paused = false;
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#writeAll([chunk], callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: WriteCallback): void {
    this.#writeAll([Buffer.concat(chunks.map(({ chunk }) => chunk))], callback);
  }

  override _final(callback: WriteCallback): void {
    if (this.#state === 'open') {
      this.#state = 'ended';
      this.#connection.end();
    }
    callback();
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    if (this.#state === 'open' || (this.#state === 'ended' && error)) this.#connection.destroy();
    else if (this.#state === 'ended') this.#limitFlush();
    if (this.#blockedWrite) this.#releaseWrite(error ?? new Error('the connection was closed'));
    callback(error);
  }

  #onData(data: Buffer): void {
    if (this.destroyed || this.#readEnded) return;
    if (this.push(data) || this.#state !== 'open') return;
    this.#paused = true;
    this.#connection.pause();
  }

  #onClose(error: Error | null, bytesRead: number): void {
    this.#state = 'closed';
    this.#handlers.onClose?.(error, bytesRead);
    if (error) {
      this.destroy(error);
    } else if (this.readableEnded || this.destroyed) {
      this.destroy();
    } else {
      // What has arrived is still to be read.
      this.once('end', () => this.destroy());
      this.#endReading();
    }
  }

  #endReading(): void {
    if (this.#readEnded) return;
    this.#readEnded = true;
    this.push(null);
  }

  #writeAll(chunks: Buffer[], callback: WriteCallback): void {
    if (this.#state !== 'open') {
      callback(new Error(`the connection is ${this.#state}`));
      return;
    }
    const accepted = chunks.map((chunk) => this.#connection.write(chunk));
    if (accepted.every(Boolean)) callback();
    else this.#blockedWrite = callback;
  }

  #releaseWrite(error: Error | null): void {
    const callback = this.#blockedWrite;
    this.#blockedWrite = null;
    callback?.(error);
  }

  /** The addon goes on flushing; this ends it when the peer does not read. */
  #limitFlush(): void {
    const timer = setTimeout(() => {
      if (this.#state === 'ended') this.#connection.destroy();
    }, FLUSH_LIMIT_MS);
    timer.unref();
  }
}

function readAll(stream: Duplex): Buffer {
  const chunks: Buffer[] = [];
  for (let chunk = stream.read() as Buffer | null; chunk; chunk = stream.read() as Buffer | null) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
