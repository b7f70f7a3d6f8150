/** Networks as the configuration spells them, and as they go to clients and scripts. */
import ipaddr from 'ipaddr.js';

export interface Network {
  readonly family: 4 | 6;
  /** First address, host bits cleared. */
  readonly address: string;
  readonly prefix: number;
  /** The text had bits set outside the prefix. */
  readonly hadHostBits: boolean;
}

/**
 * Parses `net/prefix`, `net/mask` (IPv4) or a bare address (a single host; `netmask` overrides the length).
 * null if it is not a network.
 */
export function parseNetwork(text: string, netmask = ''): Network | null {
  const [addressText = '', lengthText, surplus] = text.trim().split('/');
  if (surplus !== undefined || !isIp(addressText)) return null;
  const address = ipaddr.parse(addressText);
  const family = address.kind() === 'ipv4' ? 4 : 6;
  const prefix = prefixLength(lengthText ?? netmask, family);
  if (prefix === null) return null;
  const base =
    family === 4
      ? ipaddr.IPv4.networkAddressFromCIDR(`${addressText}/${prefix}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${addressText}/${prefix}`);
  const hadHostBits = !Buffer.from(base.toByteArray()).equals(Buffer.from(address.toByteArray()));
  return { family, address: base.toString(), prefix, hadHostBits };
}

/** True for an IPv4 address in dotted form or an IPv6 address, without zone. */
export function isIp(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (ipaddr.IPv6.isValid(text) && !text.includes('%'));
}

/** A length in digits, a dotted mask, or the empty text (a single host). */
function prefixLength(text: string, family: 4 | 6): number | null {
  const bits = family === 4 ? 32 : 128;
  if (text === '') return bits;
  if (/^\d{1,3}$/.test(text)) return Number(text) <= bits ? Number(text) : null;
  if (family === 6 || !ipaddr.IPv4.isValidFourPartDecimal(text)) return null;
  return ipaddr.IPv4.parse(text).prefixLengthFromSubnetMask();
}

/** Dotted mask of an IPv4 prefix length. */
export function ipv4Mask(prefix: number): string {
  return ipaddr.IPv4.subnetMaskFromPrefixLength(prefix).toString();
}

/** `net/mask` for IPv4 and `net/prefix` for IPv6, as X-CSTP-Split-Include and ocserv's scripts spell them. */
export function routeText(network: Network): string {
  return `${network.address}/${network.family === 4 ? ipv4Mask(network.prefix) : network.prefix}`;
}

/** The address of a client that has a whole IPv6 network: its base is the subnet-router anycast address. */
export function firstHost(network: Network): string {
  const bytes = ipaddr.parse(network.address).toByteArray();
  if (network.prefix < 128) bytes[15] = (bytes[15] ?? 0) | 1;
  return ipaddr.fromByteArray(bytes).toString();
}

/** `default` and the networks of length 0 mean everything. */
export function isDefaultRoute(text: string): boolean {
  return text.trim() === 'default' || parseNetwork(text)?.prefix === 0;
}
