import { beforeEach, describe, expect, it } from 'vitest';
import { type BanOptions, BanTable } from '../../src/core/main/bans.js';

let now = 1000;
const table = (values: Partial<BanOptions> = {}) =>
  new BanTable({
    maxScore: 80,
    banTimeSec: 300,
    resetTimeSec: 1200,
    now: () => now,
    isLocal: () => false,
    ...values,
  });

beforeEach(() => {
  now = 1000;
});

describe('BanTable', () => {
  it('tells once when a ban begins, and when it is lifted', () => {
    const changes: unknown[] = [];
    const bans = table({ onChange: (entry) => changes.push(entry) });
    bans.add('192.0.2.1', 79);
    expect(changes).toEqual([]);
    bans.add('192.0.2.1', 1);
    bans.add('192.0.2.1', 10);
    expect(changes).toEqual([{ ip: '192.0.2.1', score: 80, expires: 1300 }]);
    bans.unban('192.0.2.1');
    expect(changes[1]).toEqual({ ip: '192.0.2.1', score: 80, expires: 0 });
    bans.unban('192.0.2.1');
    expect(changes).toHaveLength(2);
  });

  it.each([{ maxScore: 0 }, { banTimeSec: 0 }])('bans nobody with %o', (values) => {
    const changes: unknown[] = [];
    const bans = table({ ...values, onChange: (entry) => changes.push(entry) });
    expect([bans.add('192.0.2.1', 90), bans.add('192.0.2.1', 90), bans.isBanned('192.0.2.1')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(changes).toEqual([]);
  });

  it('takes over bans of an earlier main, but none whose time is over', () => {
    const bans = table();
    bans.restore([
      { ip: '192.0.2.1', score: 90, expires: 1001 },
      { ip: '192.0.2.2', score: 90, expires: 1000 },
    ]);
    expect([bans.isBanned('192.0.2.1'), bans.isBanned('192.0.2.2')]).toEqual([true, false]);
    now = 1001;
    expect(bans.isBanned('192.0.2.1')).toBe(false);
  });

  it('lasts no longer when the clock is put back by a day', () => {
    now += 86_400;
    const bans = table();
    bans.add('192.0.2.1', 80);
    bans.add('192.0.2.2', 79);
    now -= 86_400;
    expect(bans.isBanned('192.0.2.1')).toBe(true);
    expect(bans.add('192.0.2.2', 0)).toBe(true);
    now += 300;
    expect(bans.isBanned('192.0.2.1')).toBe(false);
    now += 900;
    expect(bans.add('192.0.2.2', 1)).toBe(true);
  });

  it('looks at few addresses however many have points, and forgets them all in their time', () => {
    let looks = 0;
    const clock = (): number => {
      looks += 1;
      return now;
    };
    const bans = table({ now: clock });
    for (let n = 0; n < 5000; n++) bans.add(`10.${n >> 8}.${n & 255}.1`, n === 70 ? 80 : 1);
    looks = 0;
    bans.expire();
    expect(bans.snapshot()).toEqual([{ ip: '10.0.70.1', score: 80, expires: 1300 }]);
    expect(bans.bannedCount()).toBe(1);
    expect(looks).toBeLessThan(10);
    now += 300;
    bans.expire();
    expect([bans.bannedCount(), bans.list().length]).toEqual([0, 4999]);
    now += 900;
    bans.expire();
    expect(bans.list()).toEqual([]);
  });

  it('refuses an address at the limit, not below it', () => {
    const bans = table();
    expect(bans.add('192.0.2.1', 79)).toBe(true);
    expect(bans.isBanned('192.0.2.1')).toBe(false);
    expect(bans.add('192.0.2.1', 1)).toBe(false);
    expect(bans.isBanned('192.0.2.1')).toBe(true);
    expect(bans.isBanned('192.0.2.2')).toBe(false);
  });

  it('ends the ban after ban-time with a clean score; attempts meanwhile do not extend it', () => {
    const bans = table();
    bans.add('192.0.2.1', 80);
    now += 299;
    expect(bans.add('192.0.2.1', 50)).toBe(false);
    now += 1;
    expect(bans.isBanned('192.0.2.1')).toBe(false);
    expect(bans.add('192.0.2.1', 79)).toBe(true);
  });

  it('forgets points ban-reset-time after the first of them', () => {
    const bans = table();
    bans.add('192.0.2.1', 70);
    now += 1199;
    bans.add('192.0.2.1', 5);
    now += 1;
    expect(bans.add('192.0.2.1', 70)).toBe(true);
    expect(bans.list()).toEqual([{ ip: '192.0.2.1', score: 70, expires: 0 }]);
  });

  it('counts IPv6 by /64 and IPv4 one by one', () => {
    const bans = table();
    bans.add('2001:db8::1', 40);
    expect(bans.add('2001:db8::ffff:1', 40)).toBe(false);
    expect(bans.isBanned('2001:db8:0:1::1')).toBe(false);
    bans.add('192.0.2.1', 80);
    expect(bans.isBanned('192.0.2.2')).toBe(false);
    expect(bans.bannedCount()).toBe(2);
  });

  it('counts an IPv4-mapped address as the IPv4 address', () => {
    const bans = table();
    bans.add('::ffff:192.0.2.1', 80);
    expect(bans.isBanned('192.0.2.1')).toBe(true);
  });

  it('scores local addresses but never refuses them', () => {
    const bans = table({ isLocal: (ip) => ip.startsWith('10.') });
    expect(bans.add('10.0.0.1', 500)).toBe(true);
    expect(bans.bannedCount()).toBe(1);
    expect(bans.isBanned('10.0.0.1')).toBe(false);
  });

  it('does nothing with max-ban-score 0', () => {
    const bans = table({ maxScore: 0 });
    expect(bans.add('192.0.2.1', 60_000)).toBe(true);
    expect(bans.list()).toEqual([]);
  });

  it('takes points back, but not from a ban', () => {
    const bans = table();
    bans.add('192.0.2.1', 1);
    bans.refund('192.0.2.1', 1);
    expect(bans.list()).toEqual([]);
    bans.add('192.0.2.2', 80);
    bans.refund('192.0.2.2', 80);
    expect(bans.isBanned('192.0.2.2')).toBe(true);
  });

  it('unbans', () => {
    const bans = table();
    bans.add('192.0.2.1', 80);
    expect(bans.unban('192.0.2.1')).toBe(true);
    expect(bans.isBanned('192.0.2.1')).toBe(false);
    expect(bans.unban('192.0.2.1')).toBe(false);
  });

  it('keeps a bounded number of entries', () => {
    const bans = table({ maxEntries: 100 });
    for (let i = 0; i < 150; i++) bans.add(`2001:db8:0:${i.toString(16)}::1`, 1);
    expect(bans.list().length).toBe(100);
    expect(bans.list()[0]?.ip).toBe('2001:db8:0:32::');
  });
});
