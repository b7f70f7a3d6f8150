/** Who an address belongs to, for counting: IPv6 by /64, the smallest network that a client surely owns as a whole. */
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** The IPv4 address, or the first address of an IPv6 address's /64. A text that is no address (a lost one is '') stays. */
export function ownerOf(ip: string): string {
  if (isIPv4(ip) || !ipaddr.isValid(ip)) return ip;
  const address = ipaddr.process(ip);
  if (address.kind() === 'ipv4') return address.toString();
  const [a = 0, b = 0, c = 0, d = 0] = (address as ipaddr.IPv6).parts;
  return new ipaddr.IPv6([a, b, c, d, 0, 0, 0, 0]).toRFC5952String();
}
