/** Growing writer and bounds-checked reader of little-endian values: the only code that touches offsets. */
import { secretBytes } from '../util/secret-bytes.js';
import { IpcViolation } from './violation.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const INITIAL_BYTES = 256;
const TWO_32 = 2 ** 32;
const TWO_21 = 2 ** 21;

export class ByteWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;

  u8(value: number): void {
    this.#length = this.#reserve(1).writeUInt8(value, this.#length);
  }

  u16(value: number): void {
    this.#length = this.#reserve(2).writeUInt16LE(value, this.#length);
  }

  u32(value: number): void {
    this.#length = this.#reserve(4).writeUInt32LE(value, this.#length);
  }

  /** @param value an integer up to 2^53 − 1 */
  u64(value: number): void {
    this.u32(value % TWO_32);
    this.u32(Math.floor(value / TWO_32));
  }

  /** u32 length and the bytes. */
  block(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.#reserve(bytes.length).set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** u32 length in bytes and the text as UTF-8. */
  text(value: string): void {
    const size = Buffer.byteLength(value);
    this.u32(size);
    this.#length += this.#reserve(size).write(value, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written; the writer is not used afterwards. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Overwrites everything, for a writer that is given up half-way. */
  wipe(): void {
    this.#buffer.fill(0);
  }

  #reserve(size: number): Buffer {
    const needed = this.#length + size;
    if (needed <= this.#buffer.length) return this.#buffer;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer.fill(0);
    this.#buffer = larger;
    return larger;
  }
}

export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(path: string): number {
    return this.#bytes.readUInt8(this.#advance(1, path));
  }

  u16(path: string): number {
    return this.#bytes.readUInt16LE(this.#advance(2, path));
  }

  u32(path: string): number {
    return this.#bytes.readUInt32LE(this.#advance(4, path));
  }

  u64(path: string): number {
    const start = this.#advance(8, path);
    const high = this.#bytes.readUInt32LE(start + 4);
    if (high >= TWO_21) throw new IpcViolation('bounds', `${path} is above 2^53 - 1`);
    return high * TWO_32 + this.#bytes.readUInt32LE(start);
  }

  /** A copy in memory of its own, so that it can be wiped. */
  bytes(length: number, path: string): Buffer {
    const start = this.#advance(length, path);
    const copy = secretBytes(length);
    this.#bytes.copy(copy, 0, start, start + length);
    return copy;
  }

  text(length: number, path: string): string {
    const start = this.#advance(length, path);
    try {
      return utf8.decode(this.#bytes.subarray(start, start + length));
    } catch (error) {
      throw new IpcViolation('utf8', `${path} is not UTF-8`, { cause: error });
    }
  }

  #advance(size: number, path: string): number {
    if (size > this.remaining) {
      throw new IpcViolation('truncated', `${path} needs ${size} bytes, ${this.remaining} are left`);
    }
    const start = this.#offset;
    this.#offset += size;
    return start;
  }
}
