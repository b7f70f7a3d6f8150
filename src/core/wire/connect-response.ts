/** The CONNECT reply: every X-CSTP-* and X-DTLS-* header in ocserv's order (reference protocol.md §6.3). */

import { isIPv6 } from '../util/ip-text.js';
import type { Encoding } from './compression.js';
import type { DtlsChoice } from './dtls-choice.js';
import type { Header } from './http-reply.js';
import type { Mtu } from './mtu.js';
import { parseNetwork } from './networks.js';
import type { AgentClass } from './user-agent.js';

export interface ConnectReplyInput {
  readonly hostname: string;
  readonly agent: AgentClass;
  readonly ios: boolean;
  readonly fullIpv6: boolean;
  readonly ipv4: { readonly address: string; readonly netmask: string } | null;
  readonly ipv6: { readonly address: string; readonly prefix: number; readonly network: string } | null;
  /** Seconds, 0: off. */
  readonly dpdSec: number;
  readonly keepaliveSec: number;
  readonly idleTimeoutSec: number;
  /** Seconds, 0: none; remaining is counted from the login. */
  readonly sessionTimeoutSec: number;
  readonly sessionRemainingSec: number;
  readonly defaultDomain: string;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
  readonly splitDns: readonly string[];
  readonly routes: readonly string[];
  readonly noRoutes: readonly string[];
  readonly tunnelAllDns: boolean;
  readonly clientBypassProtocol: boolean;
  /** Already fuzzed; null: rekey is off. */
  readonly rekey: { readonly timeSec: number; readonly method: 'ssl' | 'new-tunnel' } | null;
  readonly dtls: DtlsChoice | null;
  readonly udpPort: number;
  /** 32 bytes. */
  readonly dtlsSessionId: Uint8Array;
  readonly mtu: Mtu;
  readonly banner: string;
  /** listen-host-is-dyndns */
  readonly dynDns: boolean;
  /** proxy-url, '' without one. */
  readonly proxyUrl: string;
  /** included-http-headers and custom-header. */
  readonly includedHeaders: readonly Header[];
  readonly customHeaders: readonly Header[];
  /** Compression of each channel; null: none. */
  readonly cstpEncoding: Encoding | null;
  readonly dtlsEncoding: Encoding | null;
}

/** X-DTLS-Rekey-Time is a little later than the TLS one, so that both do not happen at once. */
const DTLS_REKEY_DELAY_SEC = 10;

/** `HTTP/1.1 200 CONNECTED` with all headers and the empty line; CSTP frames follow. */
export function connectReply(input: ConnectReplyInput): Buffer {
  const lines = connectHeaders(input).map(([name, value]) => `${name}: ${oneLine(value)}\r\n`);
  return Buffer.from(`HTTP/1.1 200 CONNECTED\r\n${lines.join('')}\r\n`, 'utf8');
}

/** The headers, in order. */
export function connectHeaders(input: ConnectReplyInput): Header[] {
  return [
    ...input.includedHeaders,
    ...identityHeaders(input),
    ...addressHeaders(input),
    ...dnsHeaders(input),
    ...routeHeaders(input),
    ...timerHeaders(input),
    ...dtlsHeaders(input),
    ['X-CSTP-Base-MTU', String(input.mtu.link)],
    ['X-CSTP-MTU', String(input.mtu.data)],
    ...optional('X-CSTP-Banner', input.banner),
    ...optional('X-DTLS-Content-Encoding', input.dtlsEncoding ?? ''),
    ...optional('X-CSTP-Content-Encoding', input.cstpEncoding ?? ''),
  ];
}

const optional = (name: string, value: string): Header[] => (value ? [[name, value]] : []);
const positive = (name: string, value: number): Header[] => (value > 0 ? [[name, String(value)]] : []);
/** A header value stays on its line whatever the configuration holds. */
const oneLine = (value: string): string => value.replaceAll(/[\r\n]+/g, ' ').trim();

function identityHeaders(input: ConnectReplyInput): Header[] {
  return [
    ['X-CSTP-Version', '1'],
    ['X-CSTP-Server-Name', 'OpenConnect VPN Server'],
    ...optional('X-CSTP-Hostname', input.hostname),
    ...positive('X-CSTP-DPD', input.dpdSec),
    ...optional('X-CSTP-Default-Domain', input.defaultDomain),
  ];
}

function addressHeaders({ ipv4, ipv6, fullIpv6 }: ConnectReplyInput): Header[] {
  const headers: Header[] = [];
  if (ipv4) headers.push(['X-CSTP-Address', ipv4.address], ['X-CSTP-Netmask', ipv4.netmask]);
  if (ipv6 && fullIpv6) headers.push(['X-CSTP-Address-IP6', `${ipv6.address}/${ipv6.prefix}`]);
  if (ipv6 && !fullIpv6) headers.push(['X-CSTP-Address', ipv6.address], ['X-CSTP-Netmask', ipv6.network]);
  return headers;
}

function dnsHeaders(input: ConnectReplyInput): Header[] {
  return [
    ...input.dns.flatMap((server) => dnsHeader(input, server)),
    ...input.nbns.map((server): Header => ['X-CSTP-NBNS', server]),
    ...input.splitDns.map((domain): Header => ['X-CSTP-Split-DNS', domain]),
  ];
}

/** Only AnyConnect knows X-CSTP-DNS-IP6; a client without full IPv6 gets no IPv6 server at all. */
function dnsHeader(input: ConnectReplyInput, server: string): Header[] {
  if (!isIPv6(server)) return [['X-CSTP-DNS', server]];
  if (!input.fullIpv6 || !input.ipv6) return [];
  return [[input.agent === 'ANYCONNECT' ? 'X-CSTP-DNS-IP6' : 'X-CSTP-DNS', server]];
}

function routeHeaders(input: ConnectReplyInput): Header[] {
  const routes = input.routes.map(parseNetwork);
  const hasDefault = routes.length === 0 || routes.some((network) => network?.kind === 'default');
  const iosHack = input.ios && input.fullIpv6 && input.ipv6 !== null;
  return [
    ...(iosHack ? [['X-CSTP-Split-Include-IP6', '2000::/3'] as const] : []),
    ...(hasDefault
      ? []
      : input.routes.flatMap((route) => networkHeader(input, 'X-CSTP-Split-Include', route))),
    ['X-CSTP-Tunnel-All-DNS', String(hasDefault || input.tunnelAllDns)],
    ['X-CSTP-Client-Bypass-Protocol', String(input.clientBypassProtocol)],
    ...input.noRoutes.flatMap((route) => networkHeader(input, 'X-CSTP-Split-Exclude', route)),
  ];
}

/** IPv6 networks only for clients that said X-CSTP-Full-IPv6-Capability (reference §6.1). */
function networkHeader({ fullIpv6 }: ConnectReplyInput, name: string, text: string): Header[] {
  const network = parseNetwork(text);
  if (network?.kind === 'ipv4') return [[name, `${network.address}/${network.mask}`]];
  if (network?.kind === 'ipv6' && fullIpv6) return [[`${name}-IP6`, `${network.address}/${network.prefix}`]];
  return [];
}

function timerHeaders(input: ConnectReplyInput): Header[] {
  const { rekey } = input;
  return [
    ['X-CSTP-Keepalive', String(input.keepaliveSec)],
    ['X-CSTP-Idle-Timeout', input.idleTimeoutSec > 0 ? String(input.idleTimeoutSec) : 'none'],
    ['X-CSTP-Smartcard-Removal-Disconnect', 'true'],
    ...(input.dynDns ? [['X-CSTP-DynDNS', 'true'] as const] : []),
    ...(rekey ? [['X-CSTP-Rekey-Time', String(rekey.timeSec)] as const] : []),
    ['X-CSTP-Rekey-Method', rekey?.method ?? 'none'],
    ...optional('X-CSTP-MSIE-Proxy-Pac-URL', input.proxyUrl),
    // openconnect compares names exactly, and this is how it spells it.
    ...optional('X-CSTP-MSIE-Proxy-PAC-URL', input.proxyUrl),
    ['X-CSTP-Session-Timeout', String(input.sessionTimeoutSec)],
    ['X-CSTP-Session-Timeout-Remaining', String(input.sessionRemainingSec)],
    ['X-CSTP-Disconnected-Timeout', 'none'],
    ['X-CSTP-Keep', 'true'],
    ['X-CSTP-TCP-Keepalive', 'true'],
    ['X-CSTP-License', 'accept'],
    ...input.customHeaders,
  ];
}

function dtlsHeaders(input: ConnectReplyInput): Header[] {
  const { dtls, rekey } = input;
  if (!dtls) return [];
  return [
    ...positive('X-DTLS-DPD', input.dpdSec),
    ['X-DTLS-Port', String(input.udpPort)],
    ...(rekey ? [['X-DTLS-Rekey-Time', String(rekey.timeSec + DTLS_REKEY_DELAY_SEC)] as const] : []),
    ...(rekey?.method === 'ssl' ? [['X-DTLS-Rekey-Method', 'ssl'] as const] : []),
    ['X-DTLS-Keepalive', String(input.keepaliveSec)],
    ...dtlsModeHeaders(input, dtls),
  ];
}

function dtlsModeHeaders(input: ConnectReplyInput, dtls: DtlsChoice): Header[] {
  const id = Buffer.from(input.dtlsSessionId).toString('hex');
  if (dtls.mode === 'psk') {
    return [
      ['X-DTLS-App-ID', id],
      ['X-DTLS-CipherSuite', 'PSK-NEGOTIATE'],
    ];
  }
  return [
    ['X-DTLS-Session-ID', id],
    [dtls.suite.header, dtls.suite.name],
    ['X-DTLS-MTU', String(input.mtu.data)],
  ];
}
