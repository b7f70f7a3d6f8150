/** Addresses and networks as numbers: what leases and bans compute with. */
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;

export interface Ip {
  readonly family: Family;
  readonly value: bigint;
}

export interface Network {
  readonly family: Family;
  /** First address, host bits zero. */
  readonly base: bigint;
  readonly prefix: number;
}

export const widthOf = (family: Family): number => (family === 4 ? 32 : 128);

/** All ones in the low `bits` bits. */
export const lowMask = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Parses a literal address; IPv4-mapped IPv6 becomes IPv4. Throws RangeError. */
export function parseIp(text: string): Ip {
  if (isIPv4(text)) return { family: 4, value: BigInt(ipv4Number(text)) };
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) {
    throw new RangeError(`"${text}" is not an IP address`);
  }
  const parsed = ipaddr.process(text);
  let value = 0n;
  for (const byte of parsed.toByteArray()) value = (value << 8n) | BigInt(byte);
  return { family: parsed.kind() === 'ipv4' ? 4 : 6, value };
}

const ipv4Number = (text: string): number =>
  text.split('.').reduce((number, byte) => number * 256 + Number(byte), 0);

/** Canonical text, IPv6 as RFC 5952. */
export function formatIp(family: Family, value: bigint): string {
  if (family === 4) {
    const number = Number(value);
    return `${number >>> 24}.${(number >>> 16) & 0xff}.${(number >>> 8) & 0xff}.${number & 0xff}`;
  }
  const bytes: number[] = [];
  for (let shift = widthOf(family) - 8; shift >= 0; shift -= 8) {
    bytes.push(Number((value >> BigInt(shift)) & 0xffn));
  }
  const address = ipaddr.fromByteArray(bytes);
  return address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString();
}

/** Clears the bits after `prefix`. */
export function maskTo(family: Family, value: bigint, prefix: number): bigint {
  const hostBits = BigInt(widthOf(family) - prefix);
  return (value >> hostBits) << hostBits;
}

/** `10.0.0.0/24`, or an address with a dotted netmask (ipv4-netmask) or prefix length. Throws RangeError. */
export function parseNetwork(text: string, netmask = ''): Network {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const mask = slash < 0 ? netmask : text.slice(slash + 1);
  const { family, value } = parseIp(address);
  const prefix = parsePrefix(family, mask);
  return { family, base: maskTo(family, value, prefix), prefix };
}

function parsePrefix(family: Family, mask: string): number {
  if (/^\d{1,3}$/.test(mask)) {
    const prefix = Number(mask);
    if (prefix <= widthOf(family)) return prefix;
  } else if (family === 4 && ipaddr.IPv4.isValidFourPartDecimal(mask)) {
    const prefix = ipaddr.IPv4.parse(mask).prefixLengthFromSubnetMask();
    if (prefix !== null) return prefix;
  }
  throw new RangeError(`"${mask}" is not a netmask`);
}

/** Dotted netmask of an IPv4 prefix length. */
export function netmaskOf(prefix: number): string {
  return formatIp(4, lowMask(32) ^ lowMask(32 - prefix));
}

export function contains(network: Network, ip: Ip): boolean {
  return network.family === ip.family && maskTo(ip.family, ip.value, network.prefix) === network.base;
}

export const formatNetwork = (network: Network): string =>
  `${formatIp(network.family, network.base)}/${network.prefix}`;
