/**
 * HTTP for all clients of the process: one http.Server that never listens; decrypted streams are given to it.
 * It hands over complete requests, keeps the limits of reference protocol.md §2, and knows nothing of logins.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RequestHeaders } from '../wire/connect-request.js';
import { type HttpReply, rawHeaders, serializeReply } from '../wire/http-reply.js';
import { endsWithRequest } from '../wire/request-end.js';
import { MAX_URL_BYTES } from '../wire/urls.js';

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

const MAX_HEADER_BYTES = 16 * 1024;
const MAX_BODY_BYTES = 256 * 1024;
const MAX_REQUESTS = 16;
/** One message, in or out. */
const MESSAGE_TIMEOUT_MS = 10_000;
const NOTHING = Buffer.alloc(0);

export class HttpFront {
  readonly #server: Server;
  readonly #connections = new WeakMap<Duplex, HttpConnection>();

  constructor() {
    this.#server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 0, noDelay: false });
    // The timers of http.Server run only while it listens; HttpConnection has its own.
    this.#server.timeout = 0;
    this.#server.on('request', (request, response) => this.#of(request.socket)?.receive(request, response));
    this.#server.on('checkContinue', (request, response) => {
      response.writeContinue();
      this.#of(request.socket)?.receive(request, response);
    });
    this.#server.on('connect', (request: IncomingMessage, stream: Duplex, head: Buffer) =>
      this.#of(stream)?.connect(request, head),
    );
    this.#server.on('clientError', (error: NodeJS.ErrnoException, stream: Duplex) =>
      this.#of(stream)?.fail(parserFailure(error)),
    );
  }

  /** Serves HTTP on a decrypted stream until it ends or CONNECT arrives. */
  serve(stream: Duplex, handler: HttpHandler): void {
    this.#connections.set(stream, new HttpConnection(stream, handler));
    this.#server.emit('connection', stream);
  }

  #of(stream: Duplex): HttpConnection | undefined {
    return this.#connections.get(stream);
  }
}

function parserFailure(error: NodeJS.ErrnoException): string {
  if (error.code === 'HPE_HEADER_OVERFLOW') return `request headers are over ${MAX_HEADER_BYTES} bytes`;
  return `not HTTP: ${error.message}`;
}

class HttpConnection {
  readonly #stream: Duplex;
  readonly #handler: HttpHandler;
  #requests = 0;
  #busy = false;
  #ended = false;
  #timer: NodeJS.Timeout | null = null;
  #lastChunk: Buffer = NOTHING;
  /** Of the request that is being answered. */
  #body: Buffer = NOTHING;

  constructor(stream: Duplex, handler: HttpHandler) {
    this.#stream = stream;
    this.#handler = handler;
    stream.on('data', this.#onData);
    stream.once('close', () => this.#stop());
  }

  /** Before the parser sees it: starts the clock of a message. */
  #onData = (chunk: Buffer): void => {
    // The parser has its own copy of what came before.
    this.#lastChunk.fill(0);
    this.#lastChunk = chunk;
    if (!this.#busy && !this.#timer) this.#startTimer('a request took too long to arrive');
  };

  /** 'request' of http.Server: headers are complete. */
  receive(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#admit(request)) return;
    this.#busy = true;
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) this.fail(`request body is over ${MAX_BODY_BYTES} bytes`);
      else chunks.push(chunk);
    });
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      for (const chunk of chunks) chunk.fill(0);
      this.#complete(request, response, body);
    });
  }

  #admit(request: IncomingMessage): boolean {
    if (this.#ended) return false;
    this.#requests += 1;
    if (this.#busy) this.fail('a second request before the first was answered');
    else if (this.#requests > MAX_REQUESTS) this.fail(`more than ${MAX_REQUESTS} requests on one connection`);
    else if (Buffer.byteLength(request.url ?? '') > MAX_URL_BYTES) this.fail('URL is too long');
    return !this.#ended;
  }

  #complete(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    this.#body = body;
    if (this.#ended) {
      this.#wipe();
      return;
    }
    this.#stopTimer();
    const chunked = request.headers['transfer-encoding'] !== undefined;
    if (!endsWithRequest(this.#lastChunk, body, chunked)) this.fail('bytes after the end of a request');
    else this.#handler.onRequest(toRequest(request, body), (reply) => this.#reply(request, response, reply));
  }

  #reply(request: IncomingMessage, response: ServerResponse, reply: HttpReply): void {
    this.#wipe();
    if (this.#ended) return;
    this.#startTimer('the client does not read the reply');
    // Node always writes HTTP/1.1; after HTTP/1.0 or an alert the connection ends, so nothing is left to track.
    if (request.httpVersionMinor === 0 || reply.after === 'alert') {
      this.#lastWords(reply, request.httpVersionMinor);
      return;
    }
    response.sendDate = false;
    response.removeHeader('Connection');
    response.writeHead(reply.status, reply.reason, rawHeaders(reply));
    response.end(reply.body, () => {
      this.#stopTimer();
      this.#busy = false;
    });
    if (reply.after === 'close') response.once('finish', () => this.#stream.end());
  }

  #lastWords(reply: HttpReply, minorVersion: number): void {
    const bytes = serializeReply(reply, minorVersion);
    this.#stream.write(bytes, () => {
      this.#stop();
      if (reply.after === 'alert') this.#handler.onAlert();
      else this.#stream.end();
    });
  }

  /** 'connect' of http.Server: its listeners are already gone from the stream. */
  connect(request: IncomingMessage, head: Buffer): void {
    if (!this.#admit(request)) return;
    // `head` is a part of it.
    this.#lastChunk = NOTHING;
    this.#stop();
    this.#stream.pause();
    this.#handler.onConnect(toRequest(request, Buffer.alloc(0)), head, (reply) => {
      this.#ended = false;
      this.#startTimer('the client does not read the reply');
      this.#lastWords(reply, request.httpVersionMinor);
    });
  }

  fail(reason: string): void {
    if (this.#ended) return;
    this.#stop();
    this.#handler.onHttpFailure(reason);
  }

  #startTimer(reason: string): void {
    this.#stopTimer();
    this.#timer = setTimeout(() => this.fail(reason), MESSAGE_TIMEOUT_MS);
  }

  #stopTimer(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #stop(): void {
    this.#ended = true;
    this.#stopTimer();
    this.#wipe();
    this.#stream.off('data', this.#onData);
  }

  /** Passwords come in bodies. */
  #wipe(): void {
    this.#lastChunk.fill(0);
    this.#body.fill(0);
    this.#lastChunk = this.#body = NOTHING;
  }
}

function toRequest(request: IncomingMessage, body: Buffer): HttpRequest {
  return { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body };
}
