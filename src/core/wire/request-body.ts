/** Bodies of requests as they come in, with a length or in chunks (RFC 9112 §6.2, §7.1). They may hold passwords. */
import { secretBytes } from '../util/secret-bytes.js';
import { HttpViolation, notHttp } from './request-head.js';

export interface IncomingBody {
  readonly done: boolean;
  /** Copies what belongs to the body; returns how many bytes of `bytes` that were. @throws HttpViolation */
  push(bytes: Buffer): number;
  /** The whole body, which the caller wipes. */
  take(): Buffer;
  wipe(): void;
}

const MAX_BODY_BYTES = 256 * 1024;
/** Of all extensions and trailers. */
const MAX_EXTRA_BYTES = 16 * 1024;

/** @throws HttpViolation when it is too long */
export const incomingBody = (framing: number | 'chunked'): IncomingBody =>
  framing === 'chunked' ? new ChunkedBody() : new LengthBody(framing);

/** What has come of a body. */
class Parts {
  readonly #parts: Buffer[] = [];

  add(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const copy = secretBytes(bytes.length);
    bytes.copy(copy);
    this.#parts.push(copy);
  }

  take(): Buffer {
    const [first] = this.#parts;
    if (first && this.#parts.length === 1) return first;
    const body = secretBytes(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) at += part.copy(body, at);
    this.wipe();
    return body;
  }

  wipe(): void {
    for (const part of this.#parts.splice(0)) part.fill(0);
  }
}

class LengthBody implements IncomingBody {
  readonly #parts = new Parts();
  #missing: number;

  constructor(length: number) {
    checkLength(length);
    this.#missing = length;
  }

  get done(): boolean {
    return this.#missing === 0;
  }

  push(bytes: Buffer): number {
    const mine = bytes.subarray(0, this.#missing);
    this.#parts.add(mine);
    this.#missing -= mine.length;
    return mine.length;
  }

  take(): Buffer {
    return this.#parts.take();
  }

  wipe(): void {
    this.#parts.wipe();
  }
}

const LINE_FEED = 0x0a;
/** Size in hexadecimal, extension. */
const SIZE_LINE = /^([0-9a-fA-F]{1,8})(;[\t -~]*)?\r\n$/;
const TRAILER_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n$/;
/** Of a size line without extension: eight digits and the line's end. */
const SIZE_LINE_BYTES = 10;

/** Extensions and trailers are read over. */
class ChunkedBody implements IncomingBody {
  readonly #parts = new Parts();
  #size = 0;
  #extras = 0;
  #expected: 'size' | 'data' | 'end of data' | 'trailer' | 'nothing' = 'size';
  /** Of the chunk that is coming, bytes. */
  #missing = 0;
  /** Of a line that is coming. */
  #line = '';

  get done(): boolean {
    return this.#expected === 'nothing';
  }

  push(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && !this.done)
      at += this.#expected === 'data' ? this.#takeData(bytes, at) : this.#takeLine(bytes, at);
    return at;
  }

  take(): Buffer {
    return this.#parts.take();
  }

  wipe(): void {
    this.#parts.wipe();
  }

  #takeData(bytes: Buffer, at: number): number {
    const data = bytes.subarray(at, at + this.#missing);
    this.#parts.add(data);
    this.#missing -= data.length;
    if (this.#missing === 0) this.#expected = 'end of data';
    return data.length;
  }

  #takeLine(bytes: Buffer, at: number): number {
    const found = bytes.indexOf(LINE_FEED, at);
    const end = found < 0 ? bytes.length : found + 1;
    const held = this.#line.length;
    this.#line += bytes.toString('latin1', at, end);
    this.#account(held);
    if (found >= 0) {
      this.#readLine(this.#line);
      this.#line = '';
    }
    return end - at;
  }

  /** Bounds what a line has more than a size needs. `held`: characters of it that were counted before. */
  #account(held: number): void {
    const free = this.#expected === 'trailer' ? 0 : SIZE_LINE_BYTES;
    this.#extras += Math.max(0, this.#line.length - free) - Math.max(0, held - free);
    if (this.#extras > MAX_EXTRA_BYTES) throw notHttp('endless extensions or trailers of chunks');
  }

  #readLine(line: string): void {
    if (this.#expected === 'size') this.#readSize(line);
    else if (this.#expected === 'end of data') {
      if (line !== '\r\n') throw notHttp('a chunk is longer than it says');
      this.#expected = 'size';
    } else if (line === '\r\n') this.#expected = 'nothing';
    else if (!TRAILER_LINE.test(line)) throw notHttp('a trailer is no header');
  }

  #readSize(line: string): void {
    const [, digits] = SIZE_LINE.exec(line) ?? [];
    if (digits === undefined) throw notHttp('a chunk has no size');
    this.#missing = Number.parseInt(digits, 16);
    this.#size += this.#missing;
    checkLength(this.#size);
    this.#expected = this.#missing === 0 ? 'trailer' : 'data';
  }
}

function checkLength(bytes: number): void {
  if (bytes > MAX_BODY_BYTES) throw new HttpViolation(`request body is over ${MAX_BODY_BYTES} bytes`);
}
