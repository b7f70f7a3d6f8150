/**
 * Inner addresses of the clients (reference ipc-and-processes §6).
 *
 * A pool's server end is its first host (network | 1), the same on every tun device of that pool. Candidates
 * follow from the user's seed, so that the same user usually gets the same address, the first one that which ocserv
 * gave: the seed itself, the seed hashed again and again, then random ones; a small pool is finally searched from end to
 * end, so that a lease fails only when the pool is full.
 */
import { hash, randomBytes } from 'node:crypto';
import {
  contains,
  type Family,
  formatIp,
  formatNetwork,
  lowMask,
  maskTo,
  type Network,
  netmaskOf,
  parseIp,
  parseNetwork,
  widthOf,
} from './ip.js';

const HASH_ROUNDS = 5;
const ATTEMPTS = 16;
/** Pools of at most 2^16 addresses are searched completely. */
const SEARCHABLE_BITS = 16;

export interface Ipv4Lease {
  readonly address: string;
  readonly local: string;
  readonly netmask: string;
}

export interface Ipv6Lease {
  readonly address: string;
  readonly local: string;
  /** Length of the prefix that is routed to the client, 128 for a single address. */
  readonly prefix: number;
  /** The pool, `net/prefix`. */
  readonly network: string;
}

export interface Lease {
  readonly ipv4: Ipv4Lease | null;
  readonly ipv6: Ipv6Lease | null;
}

/** What the session's merged configuration says about addresses; '' is "not set". */
export interface PoolConfig {
  readonly ipv4Network: string;
  readonly ipv4Netmask: string;
  readonly ipv6Network: string;
  readonly ipv6SubnetPrefix: number;
  readonly explicitIpv4: string;
  readonly explicitIpv6: string;
}

export interface LeaseRequest {
  /** 32 bits; equal seeds prefer equal addresses. */
  readonly seed: number;
  /** Families that the client accepts. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly pool: PoolConfig;
}

export interface LeaseOptions {
  /** Addresses that somebody outside this table uses, e.g. tunnels that outlived an earlier main. */
  readonly taken?: (address: string) => boolean;
  /** Devices of this machine can have IPv6 addresses; default true. */
  readonly ipv6?: boolean;
  readonly random?: (bytes: number) => Uint8Array;
}

interface Range {
  readonly family: Family;
  readonly base: bigint;
  readonly prefix: number;
}

/** What a client gets of a pool: its address, and the length of the prefix around it that is routed to it. */
interface Piece {
  readonly address: string;
  readonly prefix: number;
}

/** Handle of a client, or safeId of a session that waits for its client. */
export type Owner = number | string;

/** Leases by owner; no two overlap. */
export class LeaseTable {
  readonly #taken: (address: string) => boolean;
  readonly #ipv6: boolean;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #owners = new Map<Owner, Lease>();
  /** family/prefix → bases in use. Few different prefixes exist, so a look-up is a handful of set tests. */
  readonly #used = new Map<string, { family: Family; prefix: number; bases: Set<bigint> }>();
  /** Server ends of the pools seen so far; never leased to a client of an overlapping pool. */
  readonly #locals = new Set<string>();

  constructor(options: LeaseOptions = {}) {
    this.#taken = options.taken ?? (() => false);
    this.#ipv6 = options.ipv6 ?? true;
    this.#random = options.random ?? randomBytes;
  }

  get size(): number {
    return this.#owners.size;
  }

  get(owner: Owner): Lease | null {
    return this.#owners.get(owner) ?? null;
  }

  /** Who holds this explicit-ipv4 or explicit-ipv6. Looks at every lease. */
  holderOf(explicit: string): Owner | null {
    const { family, value } = parseExplicit(explicit);
    const wanted = formatIp(family, value);
    for (const [owner, { ipv4, ipv6 }] of this.#owners)
      if (ipv4?.address === wanted || ipv6?.address === wanted) return owner;
    return null;
  }

  /**
   * Leases what is configured and accepted; a family that fails is null. Null when neither is possible.
   * With `from`, that owner's addresses move to the new owner and are kept as they are (a reconnect must get
   * the same ones), unless the pool has been moved since.
   */
  acquire(owner: Owner, request: LeaseRequest, from: Owner | null = null): Lease | null {
    if (this.#owners.has(owner)) throw new Error(`client ${owner} holds a lease already`);
    const inherited = from === null ? null : this.#inherit(from, request.pool);
    const lease: Lease = {
      ipv4: inherited?.ipv4 ?? (request.ipv4 ? this.#leaseIpv4(request) : null),
      ipv6: inherited?.ipv6 ?? (this.#ipv6 && request.ipv6 ? this.#leaseIpv6(request) : null),
    };
    if (lease.ipv4 === null && lease.ipv6 === null) return null;
    this.#owners.set(owner, lease);
    return lease;
  }

  /** Gives the owner's addresses back. No effect without a lease. */
  release(owner: Owner): void {
    for (const range of rangesOf(this.#detach(owner))) this.#unmark(range);
  }

  /** Gives the lease of `from` to `to` as it is. False if `from` has none or `to` has one. */
  move(from: Owner, to: Owner): boolean {
    const lease = this.#owners.get(from);
    if (lease === undefined || this.#owners.has(to)) return false;
    this.#owners.delete(from);
    this.#owners.set(to, lease);
    return true;
  }

  /** Enters a lease that an earlier main gave. False if the owner has one or somebody holds an address of it. */
  restore(owner: Owner, lease: Lease): boolean {
    const ranges = rangesOf(lease);
    if (this.#owners.has(owner) || ranges.length === 0) return false;
    if (ranges.some((range) => this.#overlaps(range))) return false;
    for (const range of ranges) this.#enter(range);
    for (const part of [lease.ipv4, lease.ipv6]) if (part) this.#locals.add(part.local);
    this.#owners.set(owner, lease);
    return true;
  }

  /** What of the lease lies in the pools of today; the rest is given back. */
  #inherit(from: Owner, pool: PoolConfig): Lease | null {
    const lease = this.#detach(from);
    if (lease === null) return null;
    const ipv4 = isIn(lease.ipv4, pool.ipv4Network, pool.ipv4Netmask) ? lease.ipv4 : null;
    const ipv6 = isIn(lease.ipv6, pool.ipv6Network) ? lease.ipv6 : null;
    const lapsed = { ipv4: ipv4 ? null : lease.ipv4, ipv6: ipv6 ? null : lease.ipv6 };
    for (const range of rangesOf(lapsed)) this.#unmark(range);
    return { ipv4, ipv6 };
  }

  #detach(owner: Owner): Lease | null {
    const lease = this.#owners.get(owner) ?? null;
    this.#owners.delete(owner);
    return lease;
  }

  #leaseIpv4({ pool, seed }: LeaseRequest): Ipv4Lease | null {
    if (pool.ipv4Network === '') return null;
    const network = parseNetwork(pool.ipv4Network, pool.ipv4Netmask);
    const local = this.#serverEnd(network);
    if (network.family !== 4 || local === null) return null;
    const piece =
      pool.explicitIpv4 === ''
        ? this.#pick(network, 32, [2n, lowMask(32 - network.prefix) - 1n], ipv4Seeds(seed))
        : this.#explicit(4, pool.explicitIpv4, 32);
    return piece && { address: piece.address, local, netmask: netmaskOf(network.prefix) };
  }

  #leaseIpv6({ pool, seed }: LeaseRequest): Ipv6Lease | null {
    if (pool.ipv6Network === '') return null;
    const network = parseNetwork(pool.ipv6Network);
    const prefix = pool.ipv6SubnetPrefix;
    const local = this.#serverEnd(network);
    if (network.family !== 6 || local === null) return null;
    const indexBits = prefix - network.prefix;
    // Index 0 of a delegated prefix holds the server's own end; of single addresses, 0 and 1 are its.
    const first = prefix === 128 ? 2n : 1n;
    const piece =
      pool.explicitIpv6 === ''
        ? indexBits > 0
          ? this.#pick(network, prefix, [first, lowMask(indexBits)], ipv6Seeds(seed))
          : null
        : this.#explicit(6, pool.explicitIpv6, prefix);
    return piece && { ...piece, local, network: formatNetwork(network) };
  }

  /** network | 1; null when the pool is too small or a client holds that address. */
  #serverEnd(network: Network): string | null {
    if (widthOf(network.family) - network.prefix < 2) return null;
    const value = network.base | 1n;
    const width = widthOf(network.family);
    if (this.#overlaps({ family: network.family, base: value, prefix: width })) return null;
    const local = formatIp(network.family, value);
    this.#locals.add(local);
    return local;
  }

  /** The user's own address; of the piece that has the server's end in it, that address alone. */
  #explicit(family: Family, text: string, prefix: number): Piece | null {
    const ip = parseExplicit(text);
    if (ip.family !== family) return null;
    const range = { family, base: maskTo(family, ip.value, prefix), prefix };
    const alone = { family, base: ip.value, prefix: widthOf(family) };
    const taken = this.#holdsLocal(range) ? alone : range;
    const address = formatIp(family, ip.value);
    return this.#mark(taken, address) ? { address, prefix: taken.prefix } : null;
  }

  /** A free piece of `network` of length `prefix`, its index within [low, high]. */
  #pick(
    network: Network,
    prefix: number,
    [low, high]: [bigint, bigint],
    seeds: Iterable<bigint>,
  ): Piece | null {
    if (high < low) return null;
    const { family, base } = network;
    const step = BigInt(widthOf(family) - prefix);
    const hostMask = lowMask(widthOf(family) - network.prefix);
    const tryIndex = (index: bigint): Piece | null => {
      if (index < low || index > high) return null;
      const start = base | (index << step);
      // A delegated prefix gives its first host to the client: the base is the subnet-router anycast address.
      const address = formatIp(family, step === 0n ? start : start | 1n);
      return this.#mark({ family, base: start, prefix }, address) ? { address, prefix } : null;
    };
    let attempts = 0;
    for (const seed of seeds) {
      const piece = tryIndex((seed & hostMask) >> step);
      if (piece !== null) return piece;
      attempts++;
    }
    for (; attempts < ATTEMPTS; attempts++) {
      const piece = tryIndex(this.#randomBelow(high - low + 1n) + low);
      if (piece !== null) return piece;
    }
    return prefix - network.prefix <= SEARCHABLE_BITS ? this.#search(low, high, tryIndex) : null;
  }

  #search(low: bigint, high: bigint, tryIndex: (index: bigint) => Piece | null): Piece | null {
    const count = high - low + 1n;
    const start = this.#randomBelow(count);
    for (let i = 0n; i < count; i++) {
      const piece = tryIndex(low + ((start + i) % count));
      if (piece !== null) return piece;
    }
    return null;
  }

  #randomBelow(limit: bigint): bigint {
    return bytesToBigint(this.#random(20)) % limit;
  }

  #mark(range: Range, address: string): boolean {
    if (this.#overlaps(range) || this.#holdsLocal(range) || this.#taken(address)) return false;
    this.#enter(range);
    return true;
  }

  #enter({ family, prefix, base }: Range): void {
    const key = `${family}/${prefix}`;
    const entry = this.#used.get(key) ?? { family, prefix, bases: new Set() };
    entry.bases.add(base);
    this.#used.set(key, entry);
  }

  #unmark(range: Range): void {
    this.#used.get(`${range.family}/${range.prefix}`)?.bases.delete(range.base);
  }

  #overlaps(range: Range): boolean {
    for (const { family, prefix, bases } of this.#used.values()) {
      if (family !== range.family || bases.size === 0) continue;
      if (prefix <= range.prefix) {
        if (bases.has(maskTo(family, range.base, prefix))) return true;
      } else {
        // Different prefix lengths in one pool are rare: only then every lease is looked at.
        for (const base of bases) if (maskTo(family, base, range.prefix) === range.base) return true;
      }
    }
    return false;
  }

  #holdsLocal(range: Range): boolean {
    if (range.prefix === widthOf(range.family)) return this.#locals.has(formatIp(range.family, range.base));
    for (const local of this.#locals) {
      const ip = parseIp(local);
      if (ip.family === range.family && maskTo(ip.family, ip.value, range.prefix) === range.base) return true;
    }
    return false;
  }
}

/** An option may carry the prefix that the address is in. */
const parseExplicit = (text: string) => parseIp(text.split('/')[0] ?? '');

function rangesOf(lease: Lease | null): Range[] {
  const ranges: Range[] = [];
  if (lease?.ipv4) ranges.push(rangeOf(lease.ipv4.address, 32));
  if (lease?.ipv6) ranges.push(rangeOf(lease.ipv6.address, lease.ipv6.prefix));
  return ranges;
}

function isIn(part: { readonly address: string } | null, pool: string, netmask = ''): boolean {
  return part !== null && pool !== '' && contains(parseNetwork(pool, netmask), parseIp(part.address));
}

function rangeOf(address: string, prefix: number): Range {
  const { family, value } = parseIp(address);
  return { family, base: maskTo(family, value, prefix), prefix };
}

/** The seed, then SHA-1 of it, of that, … (32 bits each). */
function* ipv4Seeds(seed: number): Generator<bigint> {
  yield BigInt(seed >>> 0);
  for (const digest of digests(seed)) yield bytesToBigint(digest.subarray(0, 4));
}

/** A whole address each: IPv6 pools have more host bits than the seed. */
function* ipv6Seeds(seed: number): Generator<bigint> {
  for (const digest of digests(seed)) yield bytesToBigint(digest.subarray(0, 16));
}

function* digests(seed: number): Generator<Buffer> {
  let state: Buffer = Buffer.alloc(4);
  state.writeUInt32BE(seed >>> 0);
  for (let round = 0; round < HASH_ROUNDS; round++) {
    state = hash('sha1', state, 'buffer');
    yield state;
  }
}

function bytesToBigint(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}
