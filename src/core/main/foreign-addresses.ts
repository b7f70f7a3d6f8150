/**
 * Addresses of tunnels that are not in this main's lease table: workers keep their tunnel when main dies, so after
 * a crash the kernel still has routes to their clients. They are read from the routing tables when a candidate
 * for a lease is looked at; each is forgotten as soon as its device is gone.
 */
import { existsSync, readFileSync } from 'node:fs';
import { formatIp } from './ip.js';

const IPV4_ROUTES = '/proc/net/route';
const IPV6_ROUTES = '/proc/net/ipv6_route';

/** Destinations of host routes through devices whose name starts with `device`. */
export function hostRoutes(ipv4Routes: string, ipv6Routes: string, device: string): Set<string> {
  const found = new Set<string>();
  for (const line of ipv4Routes.split('\n').slice(1)) {
    const [name = '', destination = '', , , , , , mask = ''] = line.split('\t');
    if (!name.startsWith(device) || mask.trim() !== 'FFFFFFFF') continue;
    // The kernel prints the 32 bits in host byte order.
    const bytes = Buffer.from(destination, 'hex').reverse();
    found.add(formatIp(4, BigInt(`0x${bytes.toString('hex')}`)));
  }
  for (const line of ipv6Routes.split('\n')) {
    const [destination = '', length = '', , , , , , , , name = ''] = line.trim().split(/\s+/);
    if (name.startsWith(device) && length === '80') found.add(formatIp(6, BigInt(`0x${destination}`)));
  }
  return found;
}

/** Tells whether an address that no lease of ours has is routed to a tunnel all the same. */
export class ForeignAddresses {
  readonly #device: string;
  #known: Set<string>;

  constructor(device: string) {
    this.#device = device;
    this.#known = this.#read();
  }

  has(address: string): boolean {
    if (!this.#known.has(address)) return false;
    // Only tunnels from before our start can be in the set: reading again can only shrink it.
    const now = this.#read();
    this.#known = new Set([...this.#known].filter((known) => now.has(known)));
    return this.#known.has(address);
  }

  #read(): Set<string> {
    const text = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
    return hostRoutes(text(IPV4_ROUTES), text(IPV6_ROUTES), this.#device);
  }
}
