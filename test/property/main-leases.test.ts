/** Leases: whatever the order of events, no two clients ever share an address, and nothing reserved is leased. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatIp, lowMask, maskTo, parseIp, parseNetwork } from '../../src/core/main/ip.js';
import { LeaseTable, type PoolConfig } from '../../src/core/main/leases.js';

const pool = (values: Partial<PoolConfig>): PoolConfig => ({
  ipv4Network: '',
  ipv4Netmask: '',
  ipv6Network: '',
  ipv6SubnetPrefix: 128,
  explicitIpv4: '',
  explicitIpv6: '',
  ...values,
});

const seed = fc.integer({ min: 0, max: 0xffff_ffff });
const owner = fc.integer({ min: 1, max: 20 });
const ipv4Pool = fc
  .tuple(seed, fc.integer({ min: 16, max: 30 }))
  .map(([base, prefix]) => `${formatIp(4, maskTo(4, BigInt(base), prefix))}/${prefix}`);
/** Small enough to run full. */
const smallPool = fc.constantFrom('10.9.0.0/28', '10.9.0.0/29', '192.0.2.128/27', '10.9.0.0/30');
const event = fc.oneof(
  fc.record({ kind: fc.constant('acquire' as const), owner, seed }),
  fc.record({ kind: fc.constant('release' as const), owner, seed }),
  fc.record({ kind: fc.constant('steal' as const), owner, seed, from: owner }),
);

/** Every address of the pool that a client may have. */
const capacity = (network: string) => 2 ** (32 - parseNetwork(network).prefix) - 3;

describe('leases', () => {
  it('lie inside the pool and are never network, server end or broadcast', () => {
    fc.assert(
      fc.property(ipv4Pool, seed, (network, value) => {
        const request = { seed: value, ipv4: true, ipv6: false, pool: pool({ ipv4Network: network }) };
        const lease = new LeaseTable().acquire(1, request);
        const net = parseNetwork(network);
        const ip = parseIp(lease?.ipv4?.address ?? '');
        expect(contains(net, ip)).toBe(true);
        expect([net.base, net.base | 1n, net.base | lowMask(32 - net.prefix)]).not.toContain(ip.value);
        expect(lease?.ipv4?.local).toBe(formatIp(4, net.base | 1n));
      }),
    );
  });

  it('take the seed itself as the first candidate', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 65_533 }), (host) => {
        const request = { seed: host, ipv4: true, ipv6: false, pool: pool({ ipv4Network: '10.1.0.0/16' }) };
        const expected = formatIp(4, parseIp('10.1.0.0').value | BigInt(host));
        expect(new LeaseTable().acquire(1, request)?.ipv4?.address).toBe(expected);
      }),
    );
  });

  it('are equal for equal seeds in fresh tables', () => {
    fc.assert(
      fc.property(seed, (value) => {
        const pools = pool({ ipv4Network: '10.0.0.0/8', ipv6Network: 'fd00:1::/48' });
        const request = { seed: value, ipv4: true, ipv6: true, pool: pools };
        // A broadcast or network address as candidate falls through to the next seed, in both tables alike.
        expect(new LeaseTable().acquire(1, request)).toEqual(new LeaseTable().acquire(2, request));
      }),
    );
  });

  it('never overlap through acquire, release and steal, and fail only when the pool is full', () => {
    fc.assert(
      fc.property(smallPool, fc.array(event, { maxLength: 120 }), (network, events) => {
        const table = new LeaseTable();
        const held = new Map<number, string>();
        for (const item of events) {
          if (item.kind === 'release') {
            table.release(item.owner);
            held.delete(item.owner);
            continue;
          }
          if (held.has(item.owner)) continue;
          const from = item.kind === 'steal' ? item.from : null;
          const inherited = from === null ? undefined : held.get(from);
          const request = { seed: item.seed, ipv4: true, ipv6: false, pool: pool({ ipv4Network: network }) };
          const lease = table.acquire(item.owner, request, from);
          if (from !== null) held.delete(from);
          if (inherited !== undefined) expect(lease?.ipv4?.address).toBe(inherited);
          if (lease === null) expect(held.size).toBe(capacity(network));
          else held.set(item.owner, lease.ipv4?.address ?? '');
          expect(new Set(held.values()).size).toBe(held.size);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('delegate IPv6 prefixes of any mix of lengths without overlap, the server end left out', () => {
    const client = fc.record({ seed, prefix: fc.constantFrom(52, 56, 64, 128) });
    fc.assert(
      fc.property(fc.array(client, { minLength: 1, maxLength: 30 }), (clients) => {
        const table = new LeaseTable();
        const ranges: { base: bigint; prefix: number }[] = [];
        clients.forEach(({ seed: value, prefix }, id) => {
          const pools = pool({ ipv6Network: 'fd00:2::/48', ipv6SubnetPrefix: prefix });
          const lease = table.acquire(id, { seed: value, ipv4: false, ipv6: true, pool: pools });
          if (!lease?.ipv6) return;
          const base = maskTo(6, parseIp(lease.ipv6.address).value, prefix);
          expect(maskTo(6, parseIp(lease.ipv6.local).value, prefix)).not.toBe(base);
          for (const other of ranges) {
            const common = Math.min(prefix, other.prefix);
            expect(maskTo(6, base, common)).not.toBe(maskTo(6, other.base, common));
          }
          ranges.push({ base, prefix });
        });
      }),
    );
  });
});
