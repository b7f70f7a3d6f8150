/**
 * Frames on the stream: u8 message id, u32le body length, u32le correlation, body.
 *
 * Descriptors. A frame that carries descriptors is sent by a sendmsg of its own, so they ride on its first
 * byte. The kernel ends a recvmsg after the buffer that carried descriptors (unix_stream_read_generic() in
 * net/unix/af_unix.c), hence descriptors that come with a chunk always belong to the frame that holds the
 * chunk's last byte.
 */
import { secretBytes } from '../util/secret-bytes.js';
import { ByteWriter } from './bytes.js';
import { encodeBody, type RawBody } from './codec.js';
import type { RegisteredMessage } from './registry.js';
import { IpcViolation } from './violation.js';

export const HEADER_BYTES = 9;
const LENGTH_OFFSET = 1;
/** Most descriptors that any frame may carry (NativeIo.sendMessage). */
const MAX_FDS = 8;

export interface FrameHeader {
  readonly id: number;
  readonly length: number;
  /** 0: one-way. A request and its reply have the same number. */
  readonly correlation: number;
}

export interface Frame extends FrameHeader {
  /** Part of the chunk that it came in, or a copy; the sink may overwrite it and does not keep it. */
  readonly body: Buffer;
  readonly fds: readonly number[];
  /** There were more, for which this process had no room. */
  readonly lostFds: boolean;
}

/** What the reader asks about a header before it makes room for the body. */
export interface FrameLimits {
  readonly maxFds: number;
}

export interface FrameSink {
  /** May throw IpcViolation: unknown message, too long, not allowed now. */
  onHeader(header: FrameHeader): FrameLimits;
  /** The sink owns the descriptors. May throw IpcViolation. */
  onFrame(frame: Frame): void;
  closeFd(fd: number): void;
}

/**
 * Header and body of one message.
 * @throws IpcViolation when the body breaks its declaration or is over `maxBytes`
 */
export function encodeFrame(message: RegisteredMessage, correlation: number, body: RawBody): Buffer {
  const writer = new ByteWriter();
  writer.u8(message.spec.id);
  writer.u32(0);
  writer.u32(correlation);
  try {
    encodeBody(writer, message.spec.body, body, message.name);
    const length = writer.length - HEADER_BYTES;
    if (length > message.maxBytes) {
      throw new IpcViolation('size', `${message.name} has ${length} bytes, allowed are ${message.maxBytes}`);
    }
  } catch (error) {
    writer.wipe();
    throw error;
  }
  writer.setU32(LENGTH_OFFSET, writer.length - HEADER_BYTES);
  return writer.finish();
}

const EMPTY = Buffer.alloc(0);

/** Cuts a stream of chunks into frames. After a violation it is dead and has closed every descriptor it held. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #current: FrameHeader | null = null;
  #body: Buffer = EMPTY;
  #bodyBytes = 0;
  #maxFds = MAX_FDS;
  #fds: number[] = [];
  #lostFds = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Takes ownership of `fds`. Calls the sink for each finished frame. `lostFds`: see Frame. @throws IpcViolation */
  push(chunk: Buffer, fds: readonly number[], lostFds = false): void {
    let unassigned = fds;
    try {
      let offset = 0;
      while (offset < chunk.length) {
        const end = offset + Math.min(this.#missing(), chunk.length - offset);
        if (end === chunk.length) {
          this.#fds.push(...unassigned);
          this.#lostFds ||= lostFds;
          unassigned = [];
        }
        this.#take(chunk.subarray(offset, end));
        offset = end;
      }
    } catch (error) {
      this.destroy();
      throw error;
    } finally {
      for (const fd of unassigned) this.#sink.closeFd(fd);
    }
  }

  /** True in the middle of a frame: the end of the stream here is a cut. */
  get partial(): boolean {
    return this.#headerBytes > 0;
  }

  /** Closes descriptors of an unfinished frame and wipes its bytes. */
  destroy(): void {
    for (const fd of this.#fds.splice(0)) this.#sink.closeFd(fd);
    this.#body.fill(0);
    this.#current = null;
  }

  #missing(): number {
    return this.#current ? this.#current.length - this.#bodyBytes : HEADER_BYTES - this.#headerBytes;
  }

  #take(bytes: Buffer): void {
    if (this.#current) this.#takeBody(bytes, this.#current.length);
    else {
      this.#headerBytes += bytes.copy(this.#header, this.#headerBytes);
      if (this.#headerBytes === HEADER_BYTES) this.#startBody();
    }
    this.#checkFds();
    if (this.#current && this.#bodyBytes === this.#current.length) this.#finish(this.#current);
  }

  /** Mostly all of it has come in one chunk, where it stays. */
  #takeBody(bytes: Buffer, length: number): void {
    if (bytes.length === length) {
      this.#body = bytes;
      this.#bodyBytes = length;
      return;
    }
    if (this.#bodyBytes === 0) this.#body = secretBytes(length);
    this.#bodyBytes += bytes.copy(this.#body, this.#bodyBytes);
  }

  #startBody(): void {
    const header = {
      id: this.#header.readUInt8(0),
      length: this.#header.readUInt32LE(1),
      correlation: this.#header.readUInt32LE(5),
    };
    this.#maxFds = this.#sink.onHeader(header).maxFds;
    this.#bodyBytes = 0;
    this.#current = header;
  }

  // At every step, so that a frame that never ends cannot collect descriptors.
  #checkFds(): void {
    const count = this.#fds.length + (this.#lostFds ? 1 : 0);
    if (count > this.#maxFds) {
      throw new IpcViolation('descriptors', `${count} descriptors, allowed are ${this.#maxFds}`);
    }
  }

  #finish(header: FrameHeader): void {
    const { id, length, correlation } = header;
    const frame = { id, length, correlation, body: this.#body, fds: this.#fds, lostFds: this.#lostFds };
    this.#current = null;
    this.#headerBytes = 0;
    this.#body = EMPTY;
    this.#fds = [];
    this.#lostFds = false;
    this.#maxFds = MAX_FDS;
    this.#sink.onFrame(frame);
  }
}
