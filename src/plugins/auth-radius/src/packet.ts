/** RADIUS packets as bytes and back (RFC 2865 §3, §5). Lengths are strict: what does not fit is refused, never cut. */
import { type AttributeName, type AttributeSpec, dictionary } from './dictionary.js';
import { decodeValue, encodeValue, type Value } from './values.js';

export const HEADER_BYTES = 20;
export const AUTHENTICATOR_BYTES = 16;
export const MAX_PACKET_BYTES = 4096;
const MAX_VALUE_BYTES = 253;
const VENDOR_SPECIFIC = 26;
const VENDOR_HEADER_BYTES = 6;

export interface RawAttribute {
  readonly code: number;
  /** 0: a standard attribute. */
  readonly vendor: number;
  readonly value: Uint8Array;
  /** Where the value begins in the packet. */
  readonly offset: number;
}

export interface Packet {
  readonly code: number;
  readonly id: number;
  readonly authenticator: Uint8Array;
  readonly attributes: readonly RawAttribute[];
  /** As received, without what lies beyond its length. */
  readonly bytes: Uint8Array;
}

/** An attribute to send: its value as the dictionary types it, hidden ones already hidden. */
export type Attribute = readonly [AttributeName, Value];

/** Throws RangeError for a packet that is not one. */
export function parsePacket(datagram: Uint8Array): Packet {
  if (datagram.length < HEADER_BYTES) throw new RangeError(`a packet of ${datagram.length} bytes`);
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const length = view.getUint16(2);
  if (length < HEADER_BYTES || length > MAX_PACKET_BYTES || length > datagram.length) {
    throw new RangeError(`a length of ${length} in a datagram of ${datagram.length} bytes`);
  }
  const bytes = datagram.subarray(0, length);
  return {
    code: view.getUint8(0),
    id: view.getUint8(1),
    authenticator: bytes.subarray(4, HEADER_BYTES),
    attributes: [...triples(bytes, HEADER_BYTES, length)].flatMap((raw) => vendorParts(bytes, raw)),
    bytes,
  };
}

function* triples(bytes: Uint8Array, from: number, to: number): Generator<RawAttribute> {
  for (let at = from; at < to; ) {
    const length = bytes[at + 1] ?? 0;
    if (length < 2 || at + length > to) throw new RangeError(`an attribute of ${length} bytes at ${at}`);
    yield { code: bytes[at] ?? 0, vendor: 0, value: bytes.subarray(at + 2, at + length), offset: at + 2 };
    at += length;
  }
}

/** Those of a vendor, each by itself; an unknown format of a vendor stays as it is (RFC 2865 §5.26). */
function vendorParts(bytes: Uint8Array, raw: RawAttribute): RawAttribute[] {
  if (raw.code !== VENDOR_SPECIFIC || raw.value.length < VENDOR_HEADER_BYTES) return [raw];
  const vendor = new DataView(raw.value.buffer, raw.value.byteOffset).getUint32(0);
  try {
    const parts = triples(bytes, raw.offset + 4, raw.offset + raw.value.length);
    return [...parts].map((part) => ({ ...part, vendor }));
  } catch {
    return [raw];
  }
}

/** Raw values of an attribute in the order of the packet. */
export function rawValues(packet: Packet, name: AttributeName): Uint8Array[] {
  const spec: AttributeSpec = dictionary[name];
  return packet.attributes
    .filter(({ code, vendor }) => code === spec.code && vendor === (spec.vendor ?? 0))
    .map(({ value }) => value);
}

/** Values of an attribute by its type. Throws RangeError if one is broken. */
export function valuesOf(packet: Packet, name: AttributeName): Value[] {
  return rawValues(packet, name).map((value) => {
    try {
      return decodeValue(dictionary[name].type, value);
    } catch (error) {
      throw new RangeError(`${name}: ${(error as Error).message}`, { cause: error });
    }
  });
}

/** The texts (addresses, prefixes) of an attribute. */
export function textsOf(packet: Packet, name: AttributeName): string[] {
  return valuesOf(packet, name).map(String);
}

/** The first integer of an attribute. */
export function integerOf(packet: Packet, name: AttributeName): number | undefined {
  const [first] = valuesOf(packet, name);
  return first === undefined ? undefined : Number(first);
}

/** A packet whose authenticator is given. Throws RangeError when something is too long. */
export function buildPacket(
  code: number,
  id: number,
  authenticator: Uint8Array,
  attributes: readonly Attribute[],
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const packet = Buffer.concat([header, ...attributes.map(encodeAttribute)]);
  if (packet.length > MAX_PACKET_BYTES) throw new RangeError(`a packet of ${packet.length} bytes`);
  packet.writeUInt8(code, 0);
  packet.writeUInt8(id, 1);
  packet.writeUInt16BE(packet.length, 2);
  packet.set(authenticator, 4);
  return packet;
}

function encodeAttribute([name, value]: Attribute): Buffer {
  const spec: AttributeSpec = dictionary[name];
  const bytes = encodeValue(spec.type, value);
  const room = MAX_VALUE_BYTES - (spec.vendor === undefined ? 0 : VENDOR_HEADER_BYTES);
  if (bytes.length > room) throw new RangeError(`${name} of ${bytes.length} bytes, ${room} fit`);
  const inner = Buffer.concat([Buffer.of(spec.code, bytes.length + 2), bytes]);
  if (spec.vendor === undefined) return inner;
  const head = Buffer.alloc(VENDOR_HEADER_BYTES);
  head.writeUInt8(VENDOR_SPECIFIC, 0);
  head.writeUInt8(VENDOR_HEADER_BYTES + inner.length, 1);
  head.writeUInt32BE(spec.vendor, 2);
  return Buffer.concat([head, inner]);
}
