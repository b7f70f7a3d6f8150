import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LeaseTable, type PoolConfig } from '../../src/core/main/leases.js';
import { ipv4Seed } from '../../src/core/secmod/sessions.js';

const golden = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../golden/recordings/ocserv-1.5.0', name), 'utf8');

const both = { ipv4: true, ipv6: true };
const request = (values: Partial<PoolConfig>, families = both, seed = 77) => ({
  seed,
  ...families,
  pool: {
    ipv4Network: '',
    ipv4Netmask: '',
    ipv6Network: '',
    ipv6SubnetPrefix: 128,
    explicitIpv4: '',
    explicitIpv6: '',
    ...values,
  },
});

describe('LeaseTable', () => {
  it('gives address, server end and netmask of a pool with a dotted netmask', () => {
    const pool = { ipv4Network: '10.8.0.0', ipv4Netmask: '255.255.255.0' };
    expect(new LeaseTable().acquire(1, request(pool))).toEqual({
      ipv4: { address: '10.8.0.77', local: '10.8.0.1', netmask: '255.255.255.0' },
      ipv6: null,
    });
  });

  it('gives users the addresses that they have with ocserv', () => {
    const users = JSON.parse(golden('occtl-show-users.json')) as Record<
      'Username' | 'IPv4' | 'IPv6',
      string
    >[];
    const [alice] = users.filter(({ Username }) => Username === 'alice');
    const [bob] = users.filter(({ Username }) => Username === 'bob').slice(1);
    const pool = { ipv4Network: '10.99.0.0/24', ipv6Network: 'fd99::/48' };
    for (const user of [alice, bob]) {
      const lease = new LeaseTable().acquire(1, request(pool, both, ipv4Seed(user?.Username ?? '', true)));
      expect([lease?.ipv4?.address, lease?.ipv6?.address]).toEqual([user?.IPv4, user?.IPv6]);
    }
    const delegated = request({ ...pool, ipv6SubnetPrefix: 64 }, both, ipv4Seed('alice', true));
    expect(new LeaseTable().acquire(1, delegated)?.ipv6?.address).toBe('fd99:0:0:8e4f::1');
  });

  it('leaves out a family that the client does not take', () => {
    const pools = { ipv4Network: '10.8.0.0/24', ipv6Network: 'fd00::/64' };
    const lease = new LeaseTable().acquire(1, request(pools, { ipv4: false, ipv6: true }));
    expect(lease?.ipv4).toBeNull();
    expect(lease?.ipv6?.local).toBe('fd00::1');
  });

  it('leaves out IPv6 on a machine that has none', () => {
    const pools = { ipv4Network: '10.8.0.0/24', ipv6Network: 'fd00::/64' };
    const lease = new LeaseTable({ ipv6: false }).acquire(1, request(pools));
    expect(lease).toMatchObject({ ipv4: { local: '10.8.0.1' }, ipv6: null });
    expect(new LeaseTable({ ipv6: false }).acquire(1, request({ ipv6Network: 'fd00::/64' }))).toBeNull();
  });

  it('returns null when no family is possible', () => {
    expect(new LeaseTable().acquire(1, request({}))).toBeNull();
    expect(new LeaseTable().acquire(1, request({ ipv4Network: '10.8.0.0/31' }))).toBeNull();
    const wholePool = { ipv6Network: 'fd00::/64', ipv6SubnetPrefix: 64 };
    expect(new LeaseTable().acquire(1, request(wholePool))).toBeNull();
  });

  it('gives the next candidate when the first is held, and the first again after its release', () => {
    const table = new LeaseTable();
    const pool = request({ ipv4Network: '10.8.0.0/24' });
    const first = table.acquire(1, pool)?.ipv4?.address;
    expect(table.acquire(2, pool)?.ipv4?.address).not.toBe(first);
    table.release(1);
    expect(table.acquire(3, pool)?.ipv4?.address).toBe(first);
  });

  it('does not free an address that moved on when its old owner is released', () => {
    const table = new LeaseTable();
    const pool = request({ ipv4Network: '10.8.0.0/30' });
    const first = table.acquire(1, pool);
    expect(table.acquire(2, pool, 1)).toEqual(first);
    table.release(1);
    expect(table.acquire(3, pool)).toBeNull();
    table.release(2);
    expect(table.acquire(3, pool)).toEqual(first);
  });

  it('finds the last free address of a pool, whatever the seeds', () => {
    const table = new LeaseTable();
    const pool = request({ ipv4Network: '10.8.0.0/24' });
    const given = Array.from({ length: 253 }, (_, owner) => table.acquire(owner, pool)?.ipv4?.address);
    expect(new Set(given).size).toBe(253);
    expect(given).not.toContain(undefined);
    expect(table.acquire(1000, pool)).toBeNull();
  });

  it('takes an explicit address outside the pool as it is, once', () => {
    const table = new LeaseTable();
    const pool = request({ ipv4Network: '10.8.0.0/24', explicitIpv4: '172.16.5.9' });
    const lease = { address: '172.16.5.9', local: '10.8.0.1', netmask: '255.255.255.0' };
    expect(table.acquire(1, pool)?.ipv4).toEqual(lease);
    expect(table.acquire(2, pool)).toBeNull();
  });

  it('refuses the server end as an explicit address', () => {
    const pool = request({ ipv4Network: '10.8.0.0/24', explicitIpv4: '10.8.0.1' });
    expect(new LeaseTable().acquire(1, pool)).toBeNull();
  });

  it('gives an explicit address beside the server end alone, others with their prefix', () => {
    const table = new LeaseTable();
    const pool = { ipv6Network: 'fd00::/48', ipv6SubnetPrefix: 64 };
    const given = (owner: number, explicitIpv6: string) =>
      table.acquire(owner, request({ ...pool, explicitIpv6 }))?.ipv6;
    expect(given(1, 'fd00::50')).toMatchObject({ address: 'fd00::50', prefix: 128 });
    expect(given(2, 'fd00::51')).toMatchObject({ address: 'fd00::51', prefix: 128 });
    expect(given(3, 'fd00::1')).toBeUndefined();
    expect(given(4, 'fd00:0:0:7::9')).toMatchObject({ address: 'fd00:0:0:7::9', prefix: 64 });
    expect(given(5, 'fd00:0:0:7::a')).toBeUndefined();
  });

  it('knows who holds an address, however it is written', () => {
    const table = new LeaseTable();
    table.acquire(1, request({ ipv4Network: '10.8.0.0/24', explicitIpv4: '10.8.0.9' }));
    table.acquire(2, request({ ipv6Network: 'fd00::/64', explicitIpv6: 'fd00::9' }));
    expect(table.holderOf('10.8.0.9')).toBe(1);
    expect(table.holderOf('fd00:0:0::9/64')).toBe(2);
    expect(table.holderOf('10.8.0.10')).toBeNull();
  });

  it('passes over addresses that somebody outside the table uses', () => {
    const table = new LeaseTable({ taken: (address) => address === '10.8.0.77' });
    expect(table.acquire(1, request({ ipv4Network: '10.8.0.0/24' }))?.ipv4?.address).not.toBe('10.8.0.77');
  });

  it('does not lease the server end of an overlapping pool', () => {
    const table = new LeaseTable();
    table.acquire(1, request({ ipv4Network: '10.8.0.128/25' }));
    const lease = table.acquire(2, request({ ipv4Network: '10.8.0.0/24' }, both, 129));
    expect(lease?.ipv4?.address).not.toBe('10.8.0.129');
  });

  it('delegates a prefix and gives the client its first host', () => {
    const lease = new LeaseTable().acquire(1, request({ ipv6Network: 'fd00::/48', ipv6SubnetPrefix: 64 }));
    expect(lease?.ipv6).toMatchObject({ prefix: 64, local: 'fd00::1', network: 'fd00::/48' });
    expect(lease?.ipv6?.address).toMatch(/^fd00:0:0:[0-9a-f]+::1$/);
  });

  it('throws when the same client leases twice', () => {
    const table = new LeaseTable();
    table.acquire(1, request({ ipv4Network: '10.8.0.0/24' }));
    expect(() => table.acquire(1, request({ ipv4Network: '10.8.0.0/24' }))).toThrow('already');
  });
});
