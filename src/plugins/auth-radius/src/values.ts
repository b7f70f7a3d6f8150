/** Values of attributes as bytes and back, by the types of the dictionary. Throws RangeError for what does not fit. */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { ValueType } from './dictionary.js';

/** Addresses are text, prefixes `address/length`. */
export type Value = string | number | Uint8Array;

/** Attribute 253 bytes long at most; a vendor's attribute six bytes less. */
export function encodeValue(type: ValueType, value: Value): Uint8Array {
  switch (type) {
    case 'integer':
      return uint32(Number(value));
    case 'ipv4':
      return ipv4Bytes(String(value));
    case 'ipv6':
      return ipv6Bytes(String(value));
    case 'ipv6-prefix':
      return prefixBytes(String(value));
    case 'text':
    case 'octets':
      return typeof value === 'string' ? Buffer.from(value) : Uint8Array.from(value as Uint8Array);
  }
}

/** The value of a received attribute. Text that is not UTF-8, or a wrong length, is an error. */
export function decodeValue(type: ValueType, bytes: Uint8Array): Value {
  switch (type) {
    case 'integer':
      exactly(bytes, 4);
      return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    case 'ipv4':
      exactly(bytes, 4);
      return bytes.join('.');
    case 'ipv6':
      exactly(bytes, 16);
      return ipv6Text(bytes);
    case 'ipv6-prefix':
      return prefixText(bytes);
    case 'text':
      return utf8.decode(bytes);
    case 'octets':
      return bytes;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function exactly(bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`);
}

function uint32(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`${value} is not an integer of 32 bits`);
  }
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function ipv4Bytes(text: string): Uint8Array {
  if (!isIPv4(text)) throw new RangeError(`${text} is not an IPv4 address`);
  return Uint8Array.from(text.split('.'), Number);
}

function ipv6Bytes(text: string): Uint8Array {
  if (!isIPv6(text) || text.includes('%')) throw new RangeError(`${text} is not an IPv6 address`);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const hex = (high: string | undefined, low: string | undefined): string =>
    ((Number(high) << 8) | Number(low)).toString(16);
  const plain = dotted ? `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}` : text;
  const [left = '', right] = plain.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [head, tail] = [groups(left), groups(right ?? '')];
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  const words = Uint16Array.from([...head, ...zeros, ...tail], (group) => Number.parseInt(group, 16));
  const bytes = Buffer.alloc(16);
  for (const [index, word] of words.entries()) bytes.writeUInt16BE(word, index * 2);
  return bytes;
}

/** The canonical spelling, as Node writes it. */
function ipv6Text(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, n) =>
    (((bytes[2 * n] ?? 0) << 8) | (bytes[2 * n + 1] ?? 0)).toString(16),
  );
  return new SocketAddress({ address: words.join(':'), family: 'ipv6' }).address;
}

/** RFC 3162 §2.3: a zero byte, the length, and as many bytes of the prefix as it has. */
function prefixBytes(text: string): Uint8Array {
  const [address = '', lengthText = ''] = text.split('/');
  const length = Number(lengthText);
  if (lengthText === '' || !Number.isInteger(length) || length < 0 || length > 128) {
    throw new RangeError(`${text} is not an IPv6 prefix`);
  }
  return Buffer.concat([Buffer.of(0, length), ipv6Bytes(address).subarray(0, Math.ceil(length / 8))]);
}

function prefixText(bytes: Uint8Array): string {
  const length = bytes[1] ?? 129;
  const given = bytes.subarray(2);
  if (length > 128 || given.length > 16 || given.length < Math.ceil(length / 8)) {
    throw new RangeError('broken IPv6 prefix');
  }
  const address = new Uint8Array(16);
  address.set(given);
  if (!hasZeroHostBits(address, length)) throw new RangeError('bits beyond the length of the IPv6 prefix');
  return `${ipv6Text(address)}/${length}`;
}

function hasZeroHostBits(address: Uint8Array, length: number): boolean {
  return address.every((byte, index) => {
    const kept = Math.min(8, Math.max(0, length - index * 8));
    return (byte & (0xff >> kept)) === 0;
  });
}
