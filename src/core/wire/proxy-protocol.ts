/**
 * PROXY protocol headers in front of TLS, versions 1 and 2 (haproxy's proxy-protocol.txt §2.1, §2.2; reference
 * protocol.md §1). Incremental: give it all bytes received so far until it decides.
 */
import { isIPv4, isIPv6 } from '../util/ip-text.js';

export interface ProxyAddresses {
  readonly source: { readonly address: string; readonly port: number };
  readonly destination: { readonly address: string; readonly port: number };
}

export type ProxyResult =
  | { readonly status: 'need-more' }
  | { readonly status: 'error'; readonly reason: string }
  /** `addresses` null: keep the socket's own (LOCAL health check, v1 UNKNOWN, v2 UNSPEC). */
  | { readonly status: 'done'; readonly consumed: number; readonly addresses: ProxyAddresses | null };

const V1_MAX_LINE = 107;
const V1_PREFIX = Buffer.from('PROXY ', 'latin1');
const V2_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const V2_HEADER = 16;
const V2_UNSPEC = 0;
const V2_IPV4_BYTES = 12;
const V2_IPV6_BYTES = 36;
const V2_MAX_BODY = 4096;

const error = (reason: string): ProxyResult => ({ status: 'error', reason });

export function parseProxyHeader(data: Buffer): ProxyResult {
  if (startsLike(data, V2_SIGNATURE))
    return data.length < V2_HEADER ? { status: 'need-more' } : parseV2(data);
  if (startsLike(data, V1_PREFIX))
    return data.length < V1_PREFIX.length ? { status: 'need-more' } : parseV1(data);
  return error('no PROXY header');
}

/** `data` may still become, or is, something that starts with `prefix`. */
function startsLike(data: Buffer, prefix: Buffer): boolean {
  const length = Math.min(data.length, prefix.length);
  return data.subarray(0, length).equals(prefix.subarray(0, length));
}

function parseV1(data: Buffer): ProxyResult {
  const end = data.subarray(0, V1_MAX_LINE + 2).indexOf('\r\n');
  if (end < 0)
    return data.length > V1_MAX_LINE + 1 ? error('PROXY line is too long') : { status: 'need-more' };
  const consumed = end + 2;
  const fields = data.subarray(0, end).toString('latin1').split(' ');
  if (fields[1] === 'UNKNOWN') return { status: 'done', consumed, addresses: null };
  const addresses = v1Addresses(fields);
  return addresses ? { status: 'done', consumed, addresses } : error('malformed PROXY line');
}

function v1Addresses([
  ,
  family,
  source = '',
  destination = '',
  sourcePort,
  destinationPort,
  ...rest
]: string[]) {
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : () => false;
  const ports = [sourcePort, destinationPort].map(portNumber);
  const [from, to] = ports;
  if (!isAddress(source) || !isAddress(destination) || rest.length > 0) return null;
  if (from === undefined || to === undefined || from < 0 || to < 0) return null;
  return { source: { address: source, port: from }, destination: { address: destination, port: to } };
}

function portNumber(text: string | undefined): number {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number.parseInt(text ?? '', 10) : -1;
  return port <= 65535 ? port : -1;
}

function parseV2(data: Buffer): ProxyResult {
  const versionCommand = data.readUInt8(12);
  const bodyLength = data.readUInt16BE(14);
  if (versionCommand >> 4 !== 2) return error('unknown PROXY version');
  if (bodyLength > V2_MAX_BODY) return error('PROXY header is too long');
  const consumed = V2_HEADER + bodyLength;
  if (data.length < consumed) return { status: 'need-more' };
  const command = versionCommand & 0x0f;
  if (command === 0) return { status: 'done', consumed, addresses: null };
  if (command !== 1) return error('unknown PROXY command');
  // §2.2: the sender cannot say where the connection comes from.
  if (data.readUInt8(13) === V2_UNSPEC) return { status: 'done', consumed, addresses: null };
  const addresses = v2Addresses(data.readUInt8(13), data.subarray(V2_HEADER, consumed));
  return addresses ? { status: 'done', consumed, addresses } : error('unsupported PROXY address');
}

/** TLVs behind the addresses are skipped. */
function v2Addresses(family: number, body: Buffer): ProxyAddresses | null {
  if (family === 0x11 && body.length >= V2_IPV4_BYTES) return addressPair(body, 4, ipv4Text);
  if (family === 0x21 && body.length >= V2_IPV6_BYTES) return addressPair(body, 16, ipv6Text);
  return null;
}

function addressPair(body: Buffer, size: number, text: (bytes: Buffer) => string): ProxyAddresses {
  const at = (index: number) => text(body.subarray(index * size, (index + 1) * size));
  return {
    source: { address: at(0), port: body.readUInt16BE(2 * size) },
    destination: { address: at(1), port: body.readUInt16BE(2 * size + 2) },
  };
}

const ipv4Text = (bytes: Buffer): string => [...bytes].join('.');

/** RFC 5952: the longest run of two or more zero groups becomes `::`. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(
    ':',
  );
  const runs = [...groups.matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)].map(([run]) => run);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (!longest) return groups;
  const at = groups.search(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`));
  const before = groups.slice(0, at).replace(/:$/, '');
  const after = groups.slice(at + longest.length).replace(/^:/, '');
  return `${before}::${after}`;
}
