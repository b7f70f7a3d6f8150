/**
 * One RADIUS server: the transports to it, the identifiers of requests on their way, retransmission, and the check of
 * what comes back. What is no genuine reply is dropped and counted; the request waits on.
 */
import type { BackendLog } from '../../../core/plugin-api/index.js';
import { codes } from './dictionary.js';
import { isReplyGenuine, messageAuthenticator } from './digest.js';
import { AUTHENTICATOR_BYTES, type Packet, parsePacket, rawValues } from './packet.js';
import { pause } from './pause.js';
import type { MessageAuthenticatorPolicy, ServerAddress, TlsFiles } from './radcli-conf.js';
import { openTls, openUdp, type Transport } from './transport.js';

/** Identifiers are a byte: so many requests can be on their way on one socket. */
const IDS = 256;
const MAX_SOCKETS = 64;

/** Makes the packet for an identifier; `secret` is that of the server it goes to. */
export type PacketMaker = (id: number, secret: Uint8Array) => Buffer;

export interface LinkOptions {
  readonly timeoutMs: number;
  readonly retries: number;
  readonly bindAddress: string | null;
  /** null: UDP. */
  readonly tls: TlsFiles | null;
  readonly messageAuthenticator: MessageAuthenticatorPolicy;
  readonly log: BackendLog;
}

interface Pending {
  readonly authenticator: Uint8Array;
  settle(result: Packet | Error): void;
  /** The transport's word for this request. */
  fail(error: Error): void;
}

interface Line {
  readonly transport: Transport;
  readonly pending: Map<number, Pending>;
  nextId: number;
}

/** A connection that could not be made, or that ended: another one may do. */
class NoConnection extends Error {
  /** It had been there: servers close those that rest. */
  readonly wasOpen: boolean;

  constructor(name: string, cause: Error, wasOpen: boolean) {
    super(`${name}: ${cause.message}`, { cause });
    this.wasOpen = wasOpen;
  }
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
  async exchange(
    make: PacketMaker,
    signal: AbortSignal | null,
    patient: boolean,
    retries = this.#options.retries,
  ): Promise<Packet> {
    const { timeoutMs } = this.#options;
    const end = performance.now() + timeoutMs * (retries + 1);
    for (let tries = 0; ; tries++) {
      try {
        return await this.#exchangeOnce(make, signal, patient, retries);
      } catch (error) {
        if (!(error instanceof NoConnection) || this.#closed || tries >= retries) throw error;
        const pauseMs = error.wasOpen ? 0 : timeoutMs;
        if ((!patient && !error.wasOpen) || performance.now() + pauseMs >= end) throw error;
        if (pauseMs > 0) await pause(pauseMs, signal);
      }
    }
  }

  async #exchangeOnce(
    make: PacketMaker,
    signal: AbortSignal | null,
    patient: boolean,
    retries: number,
  ): Promise<Packet> {
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
    const stopSending = this.#transmit(line, packet, { settle, fail }, retries);
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
        ({ transport, pending }) => {
          for (const { settle } of pending.values()) settle(new Error('closed'));
          transport.close();
        },
        // It never opened.
        () => {},
      );
    }
  }

  /** The same bytes again at each timeout, unless the transport delivers them itself. Returns what stops it. */
  #transmit(
    line: Line,
    packet: Buffer,
    { settle, fail }: Pick<Pending, 'settle' | 'fail'>,
    retries: number,
  ): () => void {
    const { timeoutMs, tls } = this.#options;
    let sent = 0;
    const send = (): void => {
      if (sent > retries) {
        settle(new Error(`${this.name} did not answer ${tls ? 'in time' : `${sent} times`}`));
        return;
      }
      sent++;
      if (sent === 1 || !tls) line.transport.send(packet, fail);
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

  #open(): Promise<Line> {
    const pending: Line['pending'] = new Map();
    const events = {
      received: (packet: Buffer) => this.#receive(pending, packet),
      failed: (error: Error, lost: boolean) => {
        if (lost) this.#forget(opening);
        for (const { fail } of pending.values())
          fail(lost ? new NoConnection(this.name, error, true) : error);
      },
    };
    const { tls, bindAddress, timeoutMs } = this.#options;
    const connect = tls
      ? openTls(this.server, tls, { bindAddress, timeoutMs }, events).catch((error: Error) => {
          throw new NoConnection(this.name, error, false);
        })
      : openUdp(this.server, bindAddress, events);
    const opening = connect.then(
      (transport): Line => ({ transport, pending, nextId: Math.floor(Math.random() * IDS) }),
    );
    return opening;
  }

  #receive(pending: Line['pending'], bytes: Buffer): void {
    try {
      const reply = parsePacket(bytes);
      const waiting = pending.get(reply.id);
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
