/**
 * As much of the Protocol Buffers wire format (proto2) as the occtl program speaks: varints, length-delimited fields,
 * nested messages. Messages are tables of fields; encoder and decoder are driven by them.
 */
/** sint: a number in zigzag form. */
export type FieldType = 'uint' | 'sint' | 'bool' | 'string' | 'bytes' | 'message';

export interface Field {
  readonly number: number;
  readonly type: FieldType;
  readonly repeated?: boolean;
  readonly fields?: MessageFields;
}
export type MessageFields = Readonly<Record<string, Field>>;

type Scalar = number | boolean | string | Uint8Array;
export type Value = Scalar | Message | readonly (Scalar | Message)[];
/** Fields that are absent, null or undefined are not sent. */
export interface Message {
  readonly [name: string]: Value | null | undefined;
}

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

/** Throws for a value that is not in the table. */
export function encode(fields: MessageFields, message: Message): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(message)) {
    const field = fields[name];
    if (field === undefined) throw new Error(`there is no field ${name}`);
    if (value === null || value === undefined) continue;
    const values = Array.isArray(value)
      ? (value as readonly (Scalar | Message)[])
      : [value as Scalar | Message];
    for (const one of values) parts.push(encodeField(field, one));
  }
  return Buffer.concat(parts);
}

function encodeField(field: Field, value: Scalar | Message): Buffer {
  if (field.type === 'uint' || field.type === 'sint' || field.type === 'bool') {
    const number = BigInt(Number(value));
    const coded = field.type === 'sint' ? (number << 1n) ^ (number >> 63n) : number;
    return Buffer.concat([varint(BigInt(field.number << 3)), varint(coded)]);
  }
  const body =
    field.type === 'message'
      ? encode(field.fields ?? {}, value as Message)
      : Buffer.from(value as string & Uint8Array);
  return Buffer.concat([varint(BigInt((field.number << 3) | DELIMITED)), varint(BigInt(body.length)), body]);
}

/** Non-negative, at most 64 bits. */
function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}

/** Reads scalar fields; those that the table does not have are skipped. Throws RangeError for malformed input. */
export function decode(fields: MessageFields, data: Buffer): Record<string, Scalar> {
  const byNumber = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, field }]));
  const found: Record<string, Scalar> = {};
  const reader = new Reader(data);
  while (!reader.atEnd) {
    const tag = reader.varint();
    const wire = Number(tag & 7n);
    const known = byNumber.get(Number(tag >> 3n));
    const value = reader.value(wire);
    if (known === undefined) continue;
    const isNumber = !['string', 'bytes', 'message'].includes(known.field.type);
    if (isNumber !== (typeof value === 'bigint'))
      throw new RangeError(`field ${known.name} has another type`);
    found[known.name] = scalarOf(known.field.type, value);
  }
  return found;
}

function scalarOf(type: FieldType, value: bigint | Buffer): Scalar {
  if (typeof value === 'bigint') {
    if (type === 'bool') return value !== 0n;
    return Number(type === 'sint' ? (value >> 1n) ^ -(value & 1n) : value);
  }
  return type === 'string' ? value.toString('utf8') : value;
}

class Reader {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  get atEnd(): boolean {
    return this.#at >= this.#data.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 64n; shift += 7n) {
      const byte = this.#data[this.#at++];
      if (byte === undefined) throw new RangeError('it ends inside a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number is too long');
  }

  value(wire: number): bigint | Buffer {
    if (wire === VARINT) return this.varint();
    if (wire === DELIMITED) return this.#bytes(Number(this.varint()));
    if (wire === FIXED32) return this.#bytes(4);
    if (wire === FIXED64) return this.#bytes(8);
    throw new RangeError(`wire type ${wire} is not known`);
  }

  #bytes(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#data.length) throw new RangeError('it ends inside a field');
    const bytes = this.#data.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}
