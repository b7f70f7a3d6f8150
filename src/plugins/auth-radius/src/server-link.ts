/**
 * One RADIUS server: UDP sockets connected to it, the identifiers of requests on their way, retransmission, and the
 * check of what comes back. What is no genuine reply is dropped and counted; the request waits on.
 */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { BackendLog } from '../../../core/plugin-api/index.js';
import { codes } from './dictionary.js';
import { isReplyGenuine, messageAuthenticator } from './digest.js';
import { AUTHENTICATOR_BYTES, type Packet, parsePacket, rawValues } from './packet.js';
import type { MessageAuthenticatorPolicy, ServerAddress } from './radcli-conf.js';

/** Identifiers are a byte: so many requests can be on their way on one socket. */
const IDS = 256;
const MAX_SOCKETS = 64;

/** Makes the packet for an identifier; `secret` is that of the server it goes to. */
export type PacketMaker = (id: number, secret: Uint8Array) => Buffer;

export interface LinkOptions {
  readonly timeoutMs: number;
  readonly retries: number;
  readonly bindAddress: string | null;
  readonly messageAuthenticator: MessageAuthenticatorPolicy;
  readonly log: BackendLog;
}

interface Pending {
  readonly authenticator: Uint8Array;
  settle(result: Packet | Error): void;
  /** The socket's word for this request. */
  fail(error: Error): void;
}

interface Line {
  readonly socket: Socket;
  readonly pending: Map<number, Pending>;
  nextId: number;
}

export class ServerLink {
  readonly server: ServerAddress;
  readonly #options: LinkOptions;
  readonly #lines: Promise<Line>[] = [];
  /** It has sent a Message-Authenticator: from then on, replies to logins without one are not believed. */
  #signs = false;
  #dropped = 0;
  #closed = false;

  constructor(server: ServerAddress, options: LinkOptions) {
    this.server = server;
    this.#options = options;
  }

  get name(): string {
    return `${this.server.host}:${this.server.port}`;
  }

  /**
   * Sends and waits for a genuine reply. Rejects when none came, or when `signal` is aborted; at once when nobody
   * listens there, unless `patient`: the server may just be starting again, and the next copy reaches it.
   */
  async exchange(make: PacketMaker, signal: AbortSignal | null, patient: boolean): Promise<Packet> {
    const line = await this.#freeLine();
    const id = takeId(line);
    const packet = make(id, this.server.secret);
    const authenticator = Uint8Array.from(packet.subarray(4, 4 + AUTHENTICATOR_BYTES));
    const { promise, resolve, reject } = Promise.withResolvers<Packet>();
    const settle = (result: Packet | Error): void =>
      result instanceof Error ? reject(result) : resolve(result);
    const fail = (error: NodeJS.ErrnoException): void => {
      if (!patient || error.code !== 'ECONNREFUSED') settle(error);
    };
    line.pending.set(id, { authenticator, settle, fail });
    const abort = (): void => settle(new Error('given up'));
    signal?.addEventListener('abort', abort, { once: true });
    const stopSending = this.#transmit(line, packet, { settle, fail });
    try {
      signal?.throwIfAborted();
      return await promise;
    } finally {
      stopSending();
      signal?.removeEventListener('abort', abort);
      line.pending.delete(id);
    }
  }

  close(): void {
    this.#closed = true;
    for (const opening of this.#lines.splice(0)) {
      opening.then(
        ({ socket, pending }) => {
          for (const { settle } of pending.values()) settle(new Error('closed'));
          socket.close();
        },
        // It never opened.
        () => {},
      );
    }
  }

  /** The same bytes again at each timeout. Returns what stops it. */
  #transmit(line: Line, packet: Buffer, { settle, fail }: Pick<Pending, 'settle' | 'fail'>): () => void {
    const { timeoutMs, retries } = this.#options;
    let sent = 0;
    const send = (): void => {
      if (sent > retries) {
        settle(new Error(`${this.name} did not answer ${sent} times`));
        return;
      }
      sent++;
      line.socket.send(packet, (error) => {
        if (error) fail(error);
      });
    };
    const timer = setInterval(send, timeoutMs);
    send();
    return () => clearInterval(timer);
  }

  async #freeLine(): Promise<Line> {
    if (this.#closed) throw new Error('closed');
    for (const opening of this.#lines) {
      const line = await opening;
      if (line.pending.size < IDS) return line;
    }
    if (this.#lines.length >= MAX_SOCKETS) throw new Error(`too many requests to ${this.name} at once`);
    const opening = this.#open();
    this.#lines.push(opening);
    try {
      return await opening;
    } catch (error) {
      this.#forget(opening);
      throw error;
    }
  }

  #forget(opening: Promise<Line>): void {
    const index = this.#lines.indexOf(opening);
    if (index >= 0) this.#lines.splice(index, 1);
  }

  /** A connected socket takes datagrams of the server alone, and learns that nobody listens there. */
  async #open(): Promise<Line> {
    const { host, port } = this.server;
    const { address, family } = await lookup(host);
    const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
    const line: Line = { socket, pending: new Map(), nextId: Math.floor(Math.random() * IDS) };
    const failAll = (error: Error): void => {
      for (const { fail } of line.pending.values()) fail(error);
    };
    await new Promise<void>((resolve, reject) => {
      const fail = (error?: Error): void => {
        socket.close();
        reject(error ?? new Error('not connected'));
      };
      socket.once('error', fail);
      const connect = (): void => {
        socket.connect(port, address, (error?: Error) => {
          if (error) return fail(error);
          socket.off('error', fail);
          resolve();
        });
      };
      if (this.#options.bindAddress === null) connect();
      else socket.bind({ address: this.#options.bindAddress, port: 0 }, connect);
    });
    socket.on('error', failAll);
    socket.on('message', (datagram) => this.#receive(line, datagram));
    return line;
  }

  #receive(line: Line, datagram: Buffer): void {
    try {
      const reply = parsePacket(datagram);
      const waiting = line.pending.get(reply.id);
      // A second reply to a request that was sent twice.
      if (!waiting) return;
      const problem = this.#problem(reply, waiting.authenticator);
      if (problem) throw new RangeError(problem);
      waiting.settle(reply);
    } catch (error) {
      this.#dropped++;
      const { message } = error as Error;
      this.#options.log.warn(
        { server: this.name, reason: message, dropped: this.#dropped },
        'a RADIUS reply was not believed; check the shared secret',
      );
    }
  }

  /** '' for a genuine reply. */
  #problem(reply: Packet, authenticator: Uint8Array): string {
    const { secret } = this.server;
    if (!isReplyGenuine(reply, authenticator, secret)) return 'the authenticator is wrong';
    const policy = this.#options.messageAuthenticator;
    const found = messageAuthenticator(reply, authenticator, secret);
    if (found === 'wrong') return 'the Message-Authenticator is wrong';
    if (found === 'right') this.#signs = true;
    if (found === 'right' || policy === 'off' || reply.code === codes.accountingResponse) return '';
    if (policy === 'required' || this.#signs) return 'it has no Message-Authenticator';
    // Nothing was asked through a proxy by us; forged digests (CVE-2024-3596) need room for their collision.
    return rawValues(reply, 'Proxy-State').length > 0 ? 'it has a Proxy-State that was not sent' : '';
  }
}

/** The next identifier that is not on its way. Expects one. */
function takeId(line: Line): number {
  while (line.pending.has(line.nextId)) line.nextId = (line.nextId + 1) % IDS;
  const id = line.nextId;
  line.nextId = (id + 1) % IDS;
  return id;
}
