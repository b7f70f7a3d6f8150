/**
 * One end of a connection between two processes: `Channel` on top of a transport.
 *
 * Order of checks for an incoming frame: header (known message, direction, size, correlation) before there is
 * room for the body; then descriptors, decoding, `when` and `once`; then the handler. The first failure closes
 * the peer. A handler that throws is logged and its request stays unanswered; the peer's deadline ends it.
 */
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type { PeerCredentials } from '../native/types.js';
import type { CallOptions, Channel, ChannelOptions, MessagesBetween, WithFds } from './api.js';
import { Calls } from './calls.js';
import { decodeBody, type RawBody } from './codec.js';
import { encodeFrame, type Frame, type FrameHeader, FrameReader } from './frame.js';
import type { Body, MessageName, ReplyOf, Role } from './messages.js';
import { Permissions } from './permissions.js';
import { describe, wipeSecrets } from './redact.js';
import { allowedBetween, largestBody, messageById, messageOf, type RegisteredMessage } from './registry.js';
import type { Transport } from './transport.js';
import { IpcViolation } from './violation.js';

export const DEFAULT_TIMEOUT_MS = 10_000;
/** A peer that leaves more unread than two of its largest messages, or this many bytes, is closed. */
const MIN_BACKLOG_BYTES = 1 << 20;

type AnyHandler = (body: RawBody, incoming: { fds: readonly number[]; channel: unknown }) => unknown;

export class Endpoint<Self extends Role, Peer extends Role> implements Channel<Self, Peer> {
  readonly self: Self;
  readonly peer: Peer;
  readonly credentials: PeerCredentials;
  readonly #options: ChannelOptions<Self, Peer>;
  readonly #log: Logger;
  readonly #transport: Transport;
  readonly #reader: FrameReader;
  readonly #calls: Calls;
  readonly #permissions: Permissions;
  readonly #maxBacklog: number;
  #closed = false;

  /**
   * @param greeted true at the acceptor, which has received HELLO; false at the connecting end, which calls
   *   hello() next
   */
  constructor(
    transport: Transport,
    credentials: PeerCredentials,
    options: ChannelOptions<Self, Peer>,
    greeted: boolean,
  ) {
    this.self = options.self;
    this.peer = options.peer;
    this.credentials = credentials;
    this.#options = options;
    this.#log = options.log.child({ peer: options.peer, peerPid: credentials.pid });
    this.#transport = transport;
    this.#calls = new Calls(options.peer);
    this.#permissions = new Permissions(
      {
        self: options.self,
        peer: options.peer,
        stateOf: (client) => options.stateOf?.(client),
        expectedReply: (correlation) => this.#calls.expectedReply(correlation),
      },
      greeted,
    );
    this.#maxBacklog = Math.max(MIN_BACKLOG_BYTES, 2 * largestBody(options.self, options.peer));
    this.#reader = new FrameReader({
      onHeader: (header) => this.#onHeader(header),
      onFrame: (frame) => this.#onFrame(frame),
      closeFd: (fd) => transport.closeFd(fd),
    });
  }

  /** Starts to receive. */
  start(): void {
    this.#transport.start({
      onData: (data, fds, lostFds) => this.#onData(data, fds, lostFds),
      onEnd: (error) => this.#onEnd(error),
    });
  }

  /** Says HELLO and waits for the answer, as the connecting end's first act. */
  async hello(role: 'main' | 'worker', version: number, timeoutMs: number): Promise<Body<'HELLO_REP'>> {
    const { body } = await this.#request('HELLO', { role, version }, { timeoutMs });
    return body as Body<'HELLO_REP'>;
  }

  /** Answers HELLO, as the acceptor's first act. */
  welcome(correlation: number, body: Body<'HELLO_REP'>): void {
    this.#transmit(encodeFrame(messageOf('HELLO_REP'), correlation, body), []);
  }

  /** Throws IpcViolation, and leaves `fds` to the caller, when the body breaks its declaration. */
  send<N extends MessagesBetween<Self, Peer>>(name: N, body: Body<N>, fds: readonly number[] = []): void {
    this.#transmit(this.#oneWay(name, body as RawBody, fds), fds);
  }

  sendLater<N extends MessagesBetween<Self, Peer>>(name: N, body: Body<N>): void {
    this.#transport.sendLater(this.#oneWay(name, body as RawBody, []));
    this.#checkBacklog();
  }

  /** As send() where the body is wrong: rejects and leaves the descriptors to the caller. */
  async call<N extends MessagesBetween<Self, Peer>>(
    name: N,
    body: Body<N>,
    options: CallOptions = {},
  ): Promise<WithFds<Body<ReplyOf<N> & MessageName>>> {
    const reply = await this.#request(name, body as RawBody, options);
    return reply as WithFds<Body<ReplyOf<N> & MessageName>>;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#finish(null);
    this.#transport.close();
  }

  /** Closes at once, without a call of onClose: for a connection that never became a channel. */
  abort(): void {
    this.#closed = true;
    this.#calls.close(this.#closedError());
    this.#reader.destroy();
    this.#transport.destroy();
  }

  #request(name: MessageName, body: RawBody, options: CallOptions) {
    const fds = options.fds ?? [];
    const message = this.#outgoing(name, fds);
    const { reply } = message.spec;
    if (!reply) throw new TypeError(`${name} has no reply: use send()`);
    // Encoded now, so that the caller may wipe or change the body at once.
    const frame = encodeFrame(message, 0, body);
    const discard = () => {
      frame.fill(0);
      for (const fd of fds) this.#transport.closeFd(fd);
    };
    if (this.#closed) {
      discard();
      throw this.#closedError();
    }
    const start = (correlation: number) => {
      setCorrelation(frame, correlation);
      this.#transmit(frame, fds);
    };
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return this.#calls.start({ message: name, reply, timeoutMs, start, discard });
  }

  #outgoing(name: MessageName, fds: readonly number[]): RegisteredMessage {
    const message = messageOf(name);
    if (!allowedBetween(message, this.self, this.peer)) {
      throw new TypeError(`${name} does not go from ${this.self} to ${this.peer}`);
    }
    checkFdCount(message, fds.length);
    return message;
  }

  #oneWay(name: MessageName, body: RawBody, fds: readonly number[]): Buffer {
    const message = this.#outgoing(name, fds);
    if (message.spec.reply) throw new TypeError(`${name} wants a reply: use call()`);
    return encodeFrame(message, 0, body);
  }

  #transmit(frame: Buffer, fds: readonly number[]): void {
    // A closed transport drops the frame and closes the descriptors.
    this.#transport.send(frame, fds);
    this.#checkBacklog();
  }

  #checkBacklog(): void {
    if (!this.#closed && this.#transport.queuedBytes > this.#maxBacklog) {
      this.#violate(new IpcViolation('backlog', `it left ${this.#transport.queuedBytes} bytes unread`));
    }
  }

  #onData(data: Buffer, fds: readonly number[], lostFds: boolean): void {
    try {
      this.#reader.push(data, fds, lostFds);
    } catch (error) {
      this.#violate(error);
    }
  }

  #onHeader(header: FrameHeader) {
    // A handler of an earlier frame in this chunk has closed the channel.
    if (this.#closed) throw new IpcViolation('hello', 'the channel is closed');
    const message = messageById(header.id);
    if (!message) throw new IpcViolation('message', `there is no message number ${header.id}`);
    this.#permissions.checkHeader(message, header.correlation);
    if (header.length > message.maxBytes) {
      throw new IpcViolation(
        'size',
        `${message.name} has ${header.length} bytes, allowed are ${message.maxBytes}`,
      );
    }
    return { maxFds: message.fds[1] };
  }

  #onFrame(frame: Frame): void {
    const message = messageById(frame.id) as RegisteredMessage; // onHeader has seen it
    let body: RawBody;
    try {
      // The peer did send those that are lost.
      if (!frame.lostFds) checkFdCount(message, frame.fds.length);
      body = decodeBody(message.spec.body, frame.body, message.name);
      this.#permissions.checkBody(message, body);
    } catch (error) {
      for (const fd of frame.fds) this.#transport.closeFd(fd);
      throw error;
    } finally {
      frame.body.fill(0);
    }
    if (frame.lostFds) this.#log.error(about(message.name, body), LOST_FDS);
    if (this.#log.isLevelEnabled('trace')) this.#log.trace(about(message.name, body), 'ipc message');
    if (message.spec.isReply) this.#onReply(message, frame, body);
    else void this.#handle(message, frame, body);
  }

  #onReply(message: RegisteredMessage, frame: Frame, body: RawBody): void {
    if (message.name === 'HELLO_REP') this.#permissions.greeted();
    if (this.#calls.finish(frame.correlation, { body, fds: frame.fds })) return;
    for (const fd of frame.fds) this.#transport.closeFd(fd);
    wipeSecrets(message.name, body);
  }

  async #handle(message: RegisteredMessage, frame: Frame, body: RawBody): Promise<void> {
    const handlers = this.#options.handlers as unknown as Partial<Record<string, AnyHandler>>;
    const { correlation } = frame;
    if (correlation !== 0) this.#permissions.answering(correlation);
    try {
      const handler = handlers[message.name];
      if (!handler) throw new TypeError(`no handler for ${message.name}`);
      const result = await handler(body, { fds: frame.fds, channel: this });
      if (message.spec.reply) this.#answer(message.spec.reply as MessageName, correlation, result);
    } catch (error) {
      this.#log.error({ err: error, ...about(message.name, body) }, 'ipc handler failed');
    } finally {
      this.#permissions.answered(correlation);
      wipeSecrets(message.name, body);
    }
  }

  #answer(name: MessageName, correlation: number, result: unknown): void {
    const { body, fds } = withFds(result);
    let frame: Buffer;
    try {
      frame = encodeFrame(this.#outgoing(name, fds), correlation, body);
    } catch (error) {
      for (const fd of fds) this.#transport.closeFd(fd);
      throw error;
    }
    this.#transmit(frame, fds);
  }

  #onEnd(error: Error | null): void {
    if ((error as NodeJS.ErrnoException | null)?.code === 'EMSGSIZE') {
      this.#violate(new IpcViolation('descriptors', 'too many descriptors in one message', { cause: error }));
      return;
    }
    if (this.#reader.partial) this.#log.warn({ err: error }, 'ipc connection ended within a message');
    else this.#log.debug({ err: error }, 'ipc connection ended');
    this.#finish(null);
  }

  #violate(error: unknown): void {
    if (this.#closed) return;
    const detail = error instanceof Error ? error.message : String(error);
    const violation = new VpnError('OCS_IPC_VIOLATION', { peer: this.peer, detail }, { cause: error });
    const kind = error instanceof IpcViolation ? error.kind : 'internal';
    this.#log.warn(
      { kind, credentials: this.credentials, err: kind === 'internal' ? error : undefined },
      violation.message,
    );
    this.#finish(violation);
    this.#transport.destroy();
  }

  #finish(violation: Error | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.destroy();
    this.#calls.close(this.#closedError());
    // Not from within a call of send() or close().
    queueMicrotask(() => this.#options.onClose?.(this, violation));
  }

  #closedError(): VpnError {
    return new VpnError('OCS_IPC_CLOSED', { peer: this.peer });
  }
}

const CORRELATION_OFFSET = 5;

const LOST_FDS =
  'out of descriptors: one that came with this message is lost, and what it was for is refused';

function setCorrelation(frame: Buffer, correlation: number): void {
  frame.writeUInt32LE(correlation, CORRELATION_OFFSET);
}

function checkFdCount(message: RegisteredMessage, count: number): void {
  const [min, max] = message.fds;
  if (count < min || count > max) {
    throw new IpcViolation(
      'descriptors',
      `${message.name} has ${count} descriptors, allowed are ${min} to ${max}`,
    );
  }
}

function withFds(result: unknown): { body: RawBody; fds: readonly number[] } {
  const value = result as RawBody;
  if (value && Array.isArray(value.fds) && 'body' in value) {
    return { body: value.body as RawBody, fds: value.fds as number[] };
  }
  return { body: value, fds: [] };
}

/** What a log line says about a message: its client on top, as in every other line. */
function about(name: MessageName, body: RawBody): Record<string, unknown> {
  const shown = describe(name, body);
  return { ...('client' in shown && { client: shown.client }), message: name, body: shown };
}
