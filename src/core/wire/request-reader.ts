/**
 * Requests out of the reads of one connection. Clients of this protocol never send ahead: bytes behind a request in the
 * same read are how requests are smuggled past a proxy, so they are refused, except behind CONNECT.
 */
import { type IncomingBody, incomingBody } from './request-body.js';
import { HttpViolation, mayBecomeRequest, notHttp, parseHead, type RequestHead } from './request-head.js';
import { MAX_URL_BYTES } from './urls.js';

export interface WholeRequest {
  readonly head: RequestHead;
  /** The caller wipes it. */
  readonly body: Buffer;
  /** What came behind CONNECT. */
  readonly rest: Buffer;
}

/** Request line and headers, line ends included. */
const MAX_HEAD_BYTES = 16 * 1024;
const END_OF_HEAD = Buffer.from('\r\n\r\n', 'latin1');
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;
/** Bytes that a head never has, and line ends that are half. */
const ILLEGAL = /[^\t\r\n -~\x80-\xff]|\r(?!\n|$)|(?<!\r)\n/;
/** Enough to tell the longest method. */
const START_CHARACTERS = 16;
const NOTHING = Buffer.alloc(0);

export class RequestReader {
  readonly #onHead: (head: RequestHead) => void;
  /** Of a head that is not whole. */
  #pending: Buffer = NOTHING;
  #head: RequestHead | null = null;
  #body: IncomingBody | null = null;

  /** @param onHead is told each head before its body is waited for; may throw HttpViolation */
  constructor(onHead: (head: RequestHead) => void) {
    this.#onHead = onHead;
  }

  /** In the middle of a request. */
  get partial(): boolean {
    return this.#pending.length > 0 || this.#head !== null;
  }

  /**
   * Takes what one read brought and keeps no part of it, so it may be wiped. Returns the request once it is whole.
   * @throws HttpViolation
   */
  push(read: Buffer): WholeRequest | null {
    if (this.#pending.length === 0) return this.#take(read);
    const bytes = Buffer.concat([this.#pending, read]);
    this.#keep(NOTHING);
    try {
      return this.#take(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  #take(read: Buffer): WholeRequest | null {
    const bytes = this.#head ? read : this.#takeHead(read);
    if (!this.#head || !this.#body) return null;
    const rest = bytes.subarray(this.#body.push(bytes));
    if (!this.#body.done) return null;
    if (rest.length > 0 && this.#head.method !== 'CONNECT')
      throw new HttpViolation('bytes after the end of a request');
    const whole = { head: this.#head, body: this.#body.take(), rest: Buffer.from(rest) };
    this.#head = this.#body = null;
    return whole;
  }

  /** Wipes what is kept of a request that never comes to its end. */
  wipe(): void {
    this.#keep(NOTHING);
    this.#body?.wipe();
    this.#head = this.#body = null;
  }

  /** Returns what is behind the head. */
  #takeHead(read: Buffer): Buffer {
    const bytes = withoutEmptyLines(read);
    const end = bytes.indexOf(END_OF_HEAD);
    const length = end < 0 ? bytes.length : end + END_OF_HEAD.length;
    if (length > MAX_HEAD_BYTES) throw new HttpViolation(`request headers are over ${MAX_HEAD_BYTES} bytes`);
    const text = bytes.toString('latin1', 0, length);
    if (ILLEGAL.test(text)) throw notHttp('a control character or half a line end');
    if (end >= 0) this.#start(parseHead(text.slice(0, end)));
    else if (mayBecomeRequest(text.slice(0, START_CHARACTERS))) this.#keep(Buffer.from(bytes));
    else throw notHttp('no request line');
    return bytes.subarray(length);
  }

  #start(head: RequestHead): void {
    if (head.url.length > MAX_URL_BYTES) throw new HttpViolation('URL is too long');
    this.#onHead(head);
    this.#body = incomingBody(head.body);
    this.#head = head;
  }

  #keep(bytes: Buffer): void {
    this.#pending.fill(0);
    this.#pending = bytes;
  }
}

/** RFC 9112 §2.2: some may come before a request. */
function withoutEmptyLines(bytes: Buffer): Buffer {
  let start = 0;
  while (bytes[start] === CARRIAGE_RETURN && bytes[start + 1] === LINE_FEED) start += 2;
  return bytes.subarray(start);
}
