/** A TLS client that speaks HTTP by hand, to send what no HTTP library would. */
import { connect, type TLSSocket } from 'node:tls';

export class TlsClient {
  readonly socket: TLSSocket;
  #received = Buffer.alloc(0);
  #ended = false;
  #error: NodeJS.ErrnoException | null = null;
  #wake: () => void = () => undefined;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  static connect(port: number, maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3'): Promise<TlsClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, maxVersion });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        socket.off('error', reject);
        resolve(new TlsClient(socket));
      });
    });
  }

  send(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** One reply with its body by Content-Length; what was received until the end if it ends before. */
  async reply(): Promise<{ head: string; body: string }> {
    for (;;) {
      const text = this.#received.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
      if (end >= 0 && this.#received.length >= end + 4 + length) {
        const body = this.#received.subarray(end + 4, end + 4 + length).toString();
        this.#received = this.#received.subarray(end + 4 + length);
        return { head: text.slice(0, end + 4), body };
      }
      if (this.#ended) return { head: text, body: '' };
      await this.#change();
    }
  }

  /** Waits for the end; everything that was not read, and the error if there was one. */
  async end(): Promise<{ rest: string; error: NodeJS.ErrnoException | null }> {
    while (!this.#ended) await this.#change();
    return { rest: this.#received.toString('latin1'), error: this.#error };
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
