/** Growing writer and bounds-checked reader of little-endian values: the only code that touches offsets. */
import { secretBytes } from '../util/secret-bytes.js';
import { IpcViolation } from './violation.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** What decoders put in the place of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';
/** Most messages are shorter. */
const ROOM_BYTES = 4096;
/** UTF-8 of a UTF-16 code unit, at most. */
const BYTES_PER_UNIT = 3;
const TWO_32 = 2 ** 32;
const TWO_21 = 2 ** 21;

/** Room that is written in again and again, zeroed in between; null while a writer has it. */
let room: Buffer | null = Buffer.allocUnsafeSlow(ROOM_BYTES);

/** Ends with finish() or wipe(). */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor() {
    this.#buffer = room ?? Buffer.allocUnsafeSlow(ROOM_BYTES);
    room = null;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#buffer[at] = value;
    this.#buffer[at + 1] = value >>> 8;
  }

  u32(value: number): void {
    this.setU32(this.#reserve(4), value);
  }

  /** @param value an integer up to 2^53 − 1 */
  u64(value: number): void {
    this.u32(value % TWO_32);
    this.u32(Math.floor(value / TWO_32));
  }

  /** Overwrites four bytes at `offset` that were written before. */
  setU32(offset: number, value: number): void {
    const buffer = this.#buffer;
    buffer[offset] = value;
    buffer[offset + 1] = value >>> 8;
    buffer[offset + 2] = value >>> 16;
    buffer[offset + 3] = value >>> 24;
  }

  /** u32 length and the bytes. */
  block(bytes: Uint8Array): void {
    this.u32(bytes.length);
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** u32 length in bytes and the text as UTF-8. Returns the length. */
  text(value: string): number {
    const at = this.#reserve(4 + BYTES_PER_UNIT * value.length);
    const size = this.#buffer.write(value, at + 4);
    this.setU32(at, size);
    this.#length = at + 4 + size;
    return size;
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, in memory of its own; the writer is not used afterwards. */
  finish(): Buffer {
    const written = secretBytes(this.#length);
    this.#buffer.copy(written, 0, 0, this.#length);
    this.wipe();
    return written;
  }

  /** Overwrites everything, also for a writer that is given up half-way. */
  wipe(): void {
    this.#buffer.fill(0, 0, this.#length);
    if (this.#buffer.length === ROOM_BYTES) room = this.#buffer;
    this.#length = 0;
  }

  /** Where the next `size` bytes go. */
  #reserve(size: number): number {
    const at = this.#length;
    this.#length = at + size;
    if (this.#length > this.#buffer.length) this.#grow(at);
    return at;
  }

  #grow(written: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#length, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, written);
    this.#buffer.fill(0, 0, written);
    if (this.#buffer.length === ROOM_BYTES) room = this.#buffer;
    this.#buffer = larger;
  }
}

/** Errors name what was read: `label`, or `label.key` with a key, `label[key]` with a number. */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(label: string, key: PathKey): number {
    const at = this.#advance(1, label, key);
    return this.#bytes[at] as number;
  }

  u16(label: string, key: PathKey): number {
    const at = this.#advance(2, label, key);
    const bytes = this.#bytes;
    return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  }

  u32(label: string, key: PathKey): number {
    return this.#u32At(this.#advance(4, label, key));
  }

  u64(label: string, key: PathKey): number {
    const at = this.#advance(8, label, key);
    const high = this.#u32At(at + 4);
    if (high >= TWO_21) throw new IpcViolation('bounds', `${pathOf(label, key)} is above 2^53 - 1`);
    return high * TWO_32 + this.#u32At(at);
  }

  /** A copy in memory of its own, so that it can be wiped. */
  bytes(length: number, label: string, key: PathKey): Buffer {
    const at = this.#advance(length, label, key);
    const copy = secretBytes(length);
    this.#bytes.copy(copy, 0, at, at + length);
    return copy;
  }

  text(length: number, label: string, key: PathKey): string {
    const at = this.#advance(length, label, key);
    const text = this.#bytes.toString('utf8', at, at + length);
    // It may have been there, or stand for what is not UTF-8; the strict decoder takes three times as long.
    return text.includes(REPLACEMENT) ? this.#strictText(at, length, label, key) : text;
  }

  #strictText(at: number, length: number, label: string, key: PathKey): string {
    try {
      return utf8.decode(this.#bytes.subarray(at, at + length));
    } catch (error) {
      throw new IpcViolation('utf8', `${pathOf(label, key)} is not UTF-8`, { cause: error });
    }
  }

  #u32At(at: number): number {
    const bytes = this.#bytes;
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    return low + (bytes[at + 3] as number) * 2 ** 24;
  }

  #advance(size: number, label: string, key: PathKey): number {
    if (size > this.remaining) {
      const path = pathOf(label, key);
      throw new IpcViolation('truncated', `${path} needs ${size} bytes, ${this.remaining} are left`);
    }
    const start = this.#offset;
    this.#offset += size;
    return start;
  }
}

/** A field's name, or the index of an element. */
export type PathKey = string | number;

/** How errors name a value. Put together only then: most values are right. */
export function pathOf(label: string, key: PathKey): string {
  return typeof key === 'number' ? `${label}[${key}]` : `${label}.${key}`;
}
