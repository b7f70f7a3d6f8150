/**
 * HTTP on a decrypted connection: hands over complete requests, writes the replies, keeps the limits of reference
 * protocol.md §2, and knows nothing of logins. Not Node's http: of its streams, events and headers a login needs little,
 * and each cost more than the requests themselves.
 */
import type { Duplex } from 'node:stream';
import type { RequestHeaders } from '../wire/connect-request.js';
import { badRequest, type HttpReply, serializeReply } from '../wire/http-reply.js';
import { HttpViolation, type RequestHead } from '../wire/request-head.js';
import { RequestReader, type WholeRequest } from '../wire/request-reader.js';

export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: RequestHeaders;
  /** Wiped when the request is answered. */
  readonly body: Buffer;
}

/** What the front needs of a client. */
export interface HttpHandler {
  /** A complete request; `reply` must be called exactly once, or the connection ended. */
  onRequest(request: HttpRequest, reply: (reply: HttpReply) => void): void;
  /** CONNECT: HTTP is over on this stream. `head` was read beyond the request. `reply` is for refusals. */
  onConnect(request: HttpRequest, head: Buffer, reply: (reply: HttpReply) => void): void;
  /** The client broke a rule, or was too slow; nothing is answered. */
  onHttpFailure(reason: string): void;
  /** The last reply was written; the stream is to be ended with a fatal alert. */
  onAlert(): void;
}

const MAX_REQUESTS = 16;
/** One message, in or out. */
const MESSAGE_TIMEOUT_MS = 10_000;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const NOTHING = Buffer.alloc(0);

/** Serves HTTP on a decrypted stream until it ends or CONNECT arrives. */
export function serveHttp(stream: Duplex, handler: HttpHandler): void {
  new HttpConnection(stream, handler).start();
}

class HttpConnection {
  readonly #stream: Duplex;
  readonly #handler: HttpHandler;
  readonly #reader = new RequestReader((head) => this.#onHead(head));
  #requests = 0;
  /** A request is being answered. */
  #busy = false;
  #ended = false;
  #timer: NodeJS.Timeout | null = null;
  /** Of the request that is being answered. */
  #body: Buffer = NOTHING;

  constructor(stream: Duplex, handler: HttpHandler) {
    this.#stream = stream;
    this.#handler = handler;
  }

  start(): void {
    this.#stream.on('data', this.#onData);
    this.#stream.once('end', this.#onEnd);
    this.#stream.once('close', () => this.#stop());
  }

  #onData = (chunk: Buffer): void => {
    try {
      if (this.#busy) throw new HttpViolation('a second request before the first was answered');
      const whole = this.#reader.push(chunk);
      if (whole) this.#receive(whole);
      else if (this.#reader.partial && !this.#timer) this.#startTimer('a request took too long to arrive');
    } catch (error) {
      if (!(error instanceof HttpViolation)) throw error;
      this.#fail(error.message);
    } finally {
      chunk.fill(0);
    }
  };

  #onEnd = (): void => {
    if (this.#reader.partial) this.#fail('not HTTP: the request is cut');
    else this.#stream.end();
  };

  #onHead({ expectsContinue }: RequestHead): void {
    this.#requests += 1;
    if (this.#requests > MAX_REQUESTS)
      throw new HttpViolation(`more than ${MAX_REQUESTS} requests on one connection`);
    if (expectsContinue) this.#stream.write(CONTINUE);
  }

  #receive({ head, body, rest }: WholeRequest): void {
    this.#stopTimer();
    this.#busy = true;
    this.#body = body;
    const { method, url, headers, minorVersion } = head;
    const request = { method, url, headers, body };
    const reply = (what: HttpReply): void => this.#reply(head, what);
    if (method === 'CONNECT') {
      this.#detach();
      this.#stream.pause();
      this.#handler.onConnect(request, rest, (what) => reply({ ...what, after: lastOf(what) }));
    } else if (minorVersion === 1 && headers.host === undefined) reply(badRequest());
    else this.#handler.onRequest(request, reply);
  }

  #reply({ method, minorVersion, last }: RequestHead, reply: HttpReply): void {
    this.#wipe();
    if (this.#ended) return;
    const after = last ? lastOf(reply) : reply.after;
    const bytes = serializeReply(method === 'HEAD' ? { ...reply, body: NOTHING } : reply, minorVersion);
    this.#stream.write(bytes, () => this.#onWritten(after));
    if (this.#stream.writableLength > 0) this.#startTimer('the client does not read the reply');
  }

  #onWritten(after: HttpReply['after']): void {
    this.#stopTimer();
    this.#busy = false;
    if (after === 'keep' || this.#ended) return;
    this.#stop();
    if (after === 'alert') this.#handler.onAlert();
    // Read on, so that it comes to the stream's end.
    else this.#stream.resume().end();
  }

  #fail(reason: string): void {
    if (this.#ended) return;
    this.#stop();
    this.#handler.onHttpFailure(reason);
  }

  #startTimer(reason: string): void {
    this.#stopTimer();
    this.#timer = setTimeout(() => this.#fail(reason), MESSAGE_TIMEOUT_MS);
  }

  #stopTimer(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #stop(): void {
    this.#ended = true;
    this.#stopTimer();
    this.#wipe();
    this.#reader.wipe();
    this.#detach();
  }

  #detach(): void {
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
  }

  /** Passwords come in bodies. */
  #wipe(): void {
    this.#body.fill(0);
    this.#body = NOTHING;
  }
}

/** What happens after a reply that is the last one. */
const lastOf = ({ after }: HttpReply): HttpReply['after'] => (after === 'keep' ? 'close' : after);
