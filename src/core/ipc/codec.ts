/**
 * Bodies of IPC messages to bytes and back, driven by the field declarations.
 *
 * Encoding, all little-endian: u8/u16/u32/u64 as they are; bool one byte 0 or 1; enum one byte, the index of
 * the value; str and bytes u32 length and content; opt one byte 0 or 1 and, if 1, the value; list u32 count
 * and the elements; struct its fields in the order of their declaration. Every value has exactly one encoding:
 * a decoder accepts nothing else and consumes every byte.
 */
import { ByteReader, type ByteWriter, type PathKey, pathOf } from './bytes.js';
import type { FieldSpec, Fields } from './fields.js';
import { IpcViolation } from './violation.js';

/** Values of one body, before the static types are put on. */
export type RawBody = Record<string, unknown>;

type Entries = readonly (readonly [key: string, field: FieldSpec])[];

/** Object.entries() of the declarations, which never change. */
const known = new WeakMap<Fields, Entries>();

function entriesOf(fields: Fields): Entries {
  const found = known.get(fields);
  if (found) return found;
  const entries = Object.entries(fields);
  known.set(fields, entries);
  return entries;
}

/**
 * Appends the encoded body to `writer`.
 * @param label what paths in errors start with, normally the message's name
 * @throws IpcViolation when a value is outside its declaration
 */
export function encodeBody(writer: ByteWriter, fields: Fields, body: RawBody, label: string): void {
  for (const [key, field] of entriesOf(fields)) encodeField(writer, field, body[key], label, key);
}

/**
 * The body in `bytes`. Byte strings in it are copies of their own, so `bytes` may be wiped.
 * @throws IpcViolation for anything but the exact encoding of a valid body
 */
export function decodeBody(fields: Fields, bytes: Buffer, label: string): RawBody {
  const reader = new ByteReader(bytes);
  const body = decodeStruct(reader, fields, label);
  if (reader.remaining > 0)
    throw new IpcViolation('trailing', `${label}: ${reader.remaining} bytes too many`);
  return body;
}

function encodeField(
  writer: ByteWriter,
  field: FieldSpec,
  value: unknown,
  label: string,
  key: PathKey,
): void {
  switch (field.kind) {
    case 'u8':
      writer.u8(integer(value, 0xff, label, key));
      break;
    case 'u16':
      writer.u16(integer(value, 0xffff, label, key));
      break;
    case 'u32':
      writer.u32(integer(value, 0xffff_ffff, label, key));
      break;
    case 'u64':
      writer.u64(integer(value, Number.MAX_SAFE_INTEGER, label, key));
      break;
    case 'bool':
      if (typeof value !== 'boolean') throw wrongType(label, key, 'a boolean');
      writer.u8(value ? 1 : 0);
      break;
    case 'enum':
      writer.u8(indexOf(field.values, value, label, key));
      break;
    case 'str':
      encodeText(writer, field.max, value, label, key);
      break;
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw wrongType(label, key, 'a byte string');
      checkBounds(value.length, field.min, field.max, label, key);
      writer.block(value);
      break;
    case 'opt':
      writer.u8(value === null ? 0 : 1);
      if (value !== null) encodeField(writer, field.of, value, label, key);
      break;
    case 'list':
      encodeList(writer, field, value, label, key);
      break;
    case 'struct':
      if (typeof value !== 'object' || value === null) throw wrongType(label, key, 'an object');
      encodeBody(writer, field.fields, value as RawBody, pathOf(label, key));
      break;
  }
}

function encodeText(writer: ByteWriter, max: number, value: unknown, label: string, key: PathKey): void {
  if (typeof value !== 'string') throw wrongType(label, key, 'a string');
  // A lone surrogate would silently become U+FFFD.
  if (!value.isWellFormed())
    throw new IpcViolation('utf8', `${pathOf(label, key)} is not well-formed Unicode`);
  // No text has fewer bytes than units: one that is far too long is not written first.
  checkBounds(value.length, 0, max, label, key);
  checkBounds(writer.text(value), 0, max, label, key);
}

function encodeList(
  writer: ByteWriter,
  field: FieldSpec & { kind: 'list' },
  value: unknown,
  label: string,
  key: PathKey,
): void {
  if (!Array.isArray(value)) throw wrongType(label, key, 'an array');
  checkBounds(value.length, 0, field.max, label, key);
  const path = pathOf(label, key);
  writer.u32(value.length);
  for (let index = 0; index < value.length; index++) encodeField(writer, field.of, value[index], path, index);
}

function decodeStruct(reader: ByteReader, fields: Fields, label: string): RawBody {
  const body: RawBody = {};
  for (const [key, field] of entriesOf(fields)) body[key] = decodeField(reader, field, label, key);
  return body;
}

function decodeField(reader: ByteReader, field: FieldSpec, label: string, key: PathKey): unknown {
  switch (field.kind) {
    case 'u8':
      return reader.u8(label, key);
    case 'u16':
      return reader.u16(label, key);
    case 'u32':
      return reader.u32(label, key);
    case 'u64':
      return reader.u64(label, key);
    case 'bool':
      return decodeFlag(reader, label, key);
    case 'enum':
      return decodeEnum(reader, field.values, label, key);
    case 'str':
      return reader.text(decodeLength(reader, 0, field.max, label, key), label, key);
    case 'bytes':
      return reader.bytes(decodeLength(reader, field.min, field.max, label, key), label, key);
    case 'opt':
      return decodeFlag(reader, label, key) ? decodeField(reader, field.of, label, key) : null;
    case 'list':
      return decodeList(reader, field, label, key);
    case 'struct':
      return decodeStruct(reader, field.fields, pathOf(label, key));
  }
}

function decodeFlag(reader: ByteReader, label: string, key: PathKey): boolean {
  const value = reader.u8(label, key);
  if (value > 1) throw new IpcViolation('value', `${pathOf(label, key)} is ${value}, not 0 or 1`);
  return value === 1;
}

function decodeEnum(reader: ByteReader, values: readonly string[], label: string, key: PathKey): string {
  const index = reader.u8(label, key);
  const value = values[index];
  if (value === undefined)
    throw new IpcViolation('value', `${pathOf(label, key)} has no value number ${index}`);
  return value;
}

function decodeLength(reader: ByteReader, min: number, max: number, label: string, key: PathKey): number {
  const length = reader.u32(label, key);
  checkBounds(length, min, max, label, key);
  return length;
}

function decodeList(
  reader: ByteReader,
  field: FieldSpec & { kind: 'list' },
  label: string,
  key: PathKey,
): unknown[] {
  const count = decodeLength(reader, 0, field.max, label, key);
  const path = pathOf(label, key);
  const elements: unknown[] = [];
  for (let index = 0; index < count; index++) elements.push(decodeField(reader, field.of, path, index));
  return elements;
}

function integer(value: unknown, max: number, label: string, key: PathKey): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
    throw new IpcViolation('bounds', `${pathOf(label, key)} is not an integer from 0 to ${max}`);
  }
  return value;
}

function indexOf(values: readonly string[], value: unknown, label: string, key: PathKey): number {
  const index = values.indexOf(value as string);
  if (index < 0) throw new IpcViolation('value', `${pathOf(label, key)} is not one of ${values.join(', ')}`);
  return index;
}

function checkBounds(length: number, min: number, max: number, label: string, key: PathKey): void {
  if (length < min || length > max) {
    const path = pathOf(label, key);
    throw new IpcViolation('bounds', `${path} has length ${length}, allowed is ${min} to ${max}`);
  }
}

function wrongType(label: string, key: PathKey, expected: string): IpcViolation {
  return new IpcViolation('value', `${pathOf(label, key)} is not ${expected}`);
}
