/** MTU arithmetic at CONNECT (reference protocol.md §9.1). All values in bytes. */

/** Largest MTU of a tun device that is accepted. */
export const MAX_MTU = 16384;
const DEFAULT_LINK_MTU = 1500;
const MIN_IPV4_MTU = 800;
/** RFC 8200 §5 */
export const MIN_IPV6_MTU = 1280;
const UDP_HEADER = 8;
const ipHeader = (outerIpv6: boolean): number => (outerIpv6 ? 40 : 20);

/** Record header 13 (RFC 6347 §4.1), explicit nonce 8, tag 16: AES-GCM, the largest of our AEAD suites. */
const DTLS_GCM_OVERHEAD = 13 + 8 + 16;
/** AES-128-CBC with SHA-1: IV 16, MAC 20, padding at most 16; the worst that a client may have assumed. */
const DTLS_WORST_OVERHEAD = 13 + 16 + 20 + 16;
/** Our packet type byte in front of the packet (reference §7). */
const TYPE_BYTE = 1;

export interface MtuInput {
  /** Option mtu, 0: not set. */
  readonly configuredMtu: number;
  /** MTU of the tun device, 0: unknown. */
  readonly deviceMtu: number;
  /** X-CSTP-Base-MTU and X-CSTP-MTU, 0: absent. */
  readonly baseMtu: number;
  readonly cstpMtu: number;
  /** Path MTU of the TCP connection, 0: unknown. */
  readonly tcpPathMtu: number;
  /** The client reaches us over IPv6. */
  readonly outerIpv6: boolean;
  /** The session has an IPv6 address. */
  readonly innerIpv6: boolean;
  /** DTLS will be offered. */
  readonly dtls: boolean;
}

export interface Mtu {
  /** X-CSTP-Base-MTU */
  readonly link: number;
  /** X-CSTP-MTU: largest inner packet. */
  readonly data: number;
  /** What `data` may be raised to when a probe shows that more fits. */
  readonly maxData: number;
  /** `data` is large enough for IPv6 (RFC 8200 §5: 1280). */
  readonly ipv6Fits: boolean;
}

export function negotiateMtu(input: MtuInput): Mtu {
  const minimum = input.innerIpv6 ? MIN_IPV6_MTU : MIN_IPV4_MTU;
  const own = Math.min(input.configuredMtu || input.deviceMtu || DEFAULT_LINK_MTU, MAX_MTU);
  let link = Math.min(own, clientLinkMtu(input, minimum));
  if (input.tcpPathMtu > 0 && input.tcpPathMtu < link) link = Math.max(input.tcpPathMtu, minimum);
  const overhead = linkOverhead(input.outerIpv6, input.dtls);
  const data = link - overhead;
  return { link, data, maxData: Math.max(own - overhead, data), ipv6Fits: data >= MIN_IPV6_MTU };
}

/** What the client's headers say about its link; Infinity when they say nothing usable. */
function clientLinkMtu({ baseMtu, cstpMtu, outerIpv6 }: MtuInput, minimum: number): number {
  if (baseMtu >= minimum) return baseMtu;
  if (cstpMtu === 0) return Number.POSITIVE_INFINITY;
  const fromTunnel = cstpMtu + ipHeader(outerIpv6) + UDP_HEADER + DTLS_WORST_OVERHEAD + TYPE_BYTE;
  return fromTunnel >= minimum ? fromTunnel : Number.POSITIVE_INFINITY;
}

/** Outer bytes around one inner packet. Without DTLS only the outer headers count, as ocserv does. */
function linkOverhead(outerIpv6: boolean, dtls: boolean): number {
  return ipHeader(outerIpv6) + UDP_HEADER + (dtls ? DTLS_GCM_OVERHEAD + TYPE_BYTE : 0);
}
