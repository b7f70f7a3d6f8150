/**
 * The CONNECT request's headers as a typed struct, with the caps of reference protocol.md §2 and §6.1. Header
 * names are accepted in any case; a value that breaks its rule counts as absent.
 */
import { type Agent, classifyAgent, MAX_USER_AGENT } from './user-agent.js';

/** Request headers by lower-case name; a repeated one is one with commas between. */
export type RequestHeaders = Readonly<Record<string, string | undefined>>;

/** What a request says about its client; on every request, not only CONNECT. */
export interface ClientIdentity {
  /** At most 63 bytes. */
  readonly userAgent: string;
  readonly agent: Agent;
  readonly devicePlatform: string;
  readonly deviceType: string;
  /** iOS or Android: mobile-dpd and mobile-idle-timeout apply. */
  readonly mobile: boolean;
  readonly ios: boolean;
}

export interface ConnectRequest {
  /** Without domain part; '' absent or not a host name. */
  readonly hostname: string;
  /** Link MTU of the client, bytes; 0: absent or unusable. */
  readonly baseMtu: number;
  /** Tunnel MTU of the client, bytes; 0: absent. */
  readonly cstpMtu: number;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly fullIpv6: boolean;
  /** 48 bytes; null: no legacy DTLS. */
  readonly dtlsMasterSecret: Buffer | null;
  /** Suite names in the client's order. */
  readonly dtlsCipherSuites: readonly string[];
  readonly dtls12CipherSuites: readonly string[];
  /** X-CSTP-Accept-Encoding and X-DTLS-Accept-Encoding. */
  readonly cstpEncodings: readonly string[];
  readonly dtlsEncodings: readonly string[];
}

const MAX_DEVICE_TEXT = 63;
const MAX_HOSTNAME = 63;
const MAX_BASE_MTU = 16384;
const MAX_SUITES = 64;
const MAX_ENCODINGS = 16;
const MASTER_SECRET_HEX = 96;

/** Value of one header, '' without it. */
export function header(headers: RequestHeaders, name: string): string {
  return headers[name.toLowerCase()] ?? '';
}

export function clientIdentity(headers: RequestHeaders): ClientIdentity {
  const userAgent = truncateUtf8(header(headers, 'User-Agent'), MAX_USER_AGENT);
  const agent = classifyAgent(userAgent);
  const devicePlatform = cappedText(header(headers, 'X-AnyConnect-Identifier-Platform'));
  const deviceType = cappedText(header(headers, 'X-AnyConnect-Identifier-DeviceType'));
  const applePlatform = devicePlatform.startsWith('apple-ios');
  return {
    userAgent,
    agent,
    devicePlatform,
    deviceType,
    mobile: applePlatform || devicePlatform.startsWith('android'),
    ios: applePlatform || agent.ios,
  };
}

export function parseConnectRequest(headers: RequestHeaders): ConnectRequest {
  const addressTypes =
    headers['x-cstp-address-type'] === undefined ? null : header(headers, 'X-CSTP-Address-Type');
  const baseMtu = decimal(header(headers, 'X-CSTP-Base-MTU'));
  return {
    hostname: shortHostname(header(headers, 'X-CSTP-Hostname')),
    baseMtu: baseMtu > MAX_BASE_MTU ? 0 : baseMtu,
    cstpMtu: decimal(header(headers, 'X-CSTP-MTU')),
    ipv4: addressTypes?.includes('IPv4') ?? true,
    ipv6: addressTypes?.includes('IPv6') ?? true,
    fullIpv6: header(headers, 'X-CSTP-Full-IPv6-Capability').includes('true'),
    dtlsMasterSecret: masterSecret(header(headers, 'X-DTLS-Master-Secret')),
    dtlsCipherSuites: names(header(headers, 'X-DTLS-CipherSuite'), ':', MAX_SUITES),
    dtls12CipherSuites: names(header(headers, 'X-DTLS12-CipherSuite'), ':', MAX_SUITES),
    cstpEncodings: names(header(headers, 'X-CSTP-Accept-Encoding'), ',', MAX_ENCODINGS),
    dtlsEncodings: names(header(headers, 'X-DTLS-Accept-Encoding'), ',', MAX_ENCODINGS),
  };
}

/** The part before the first dot if it is a host name (RFC 1123 §2.1 letters, digits, hyphen), otherwise ''. */
function shortHostname(text: string): string {
  const label = text.split('.', 1)[0] ?? '';
  return label.length <= MAX_HOSTNAME && /^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$/.test(label) ? label : '';
}

function decimal(text: string): number {
  return /^\d{1,9}$/.test(text.trim()) ? Number.parseInt(text, 10) : 0;
}

function masterSecret(hex: string): Buffer | null {
  const digits = hex.slice(0, MASTER_SECRET_HEX);
  return digits.length === MASTER_SECRET_HEX && /^[0-9a-fA-F]+$/.test(digits)
    ? Buffer.from(digits, 'hex')
    : null;
}

function names(list: string, separator: string, limit: number): string[] {
  return list
    .split(separator, limit)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

const cappedText = (text: string): string => (Buffer.byteLength(text) <= MAX_DEVICE_TEXT ? text : '');

function truncateUtf8(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  let cut = text.slice(0, maxBytes);
  while (Buffer.byteLength(cut) > maxBytes) cut = cut.slice(0, -1);
  return cut;
}
