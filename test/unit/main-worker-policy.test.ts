/** Which worker gets a connection and how many are kept: session-process and worker-clients. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { POOLED_LOGINS } from '../../src/core/config/worker-config.js';
import { workerPolicy } from '../../src/core/main/worker-policy.js';

const unused = { load: 0, logins: 0, served: 0 };

describe('pooled', () => {
  const policy = workerPolicy({ 'worker-clients': 1, 'session-process': 'pooled' });

  it('gives a worker one login after the other, whatever tunnels it has', () => {
    expect(policy.room(unused)).toBe(1);
    expect(policy.room({ load: 1, logins: 1, served: 1 })).toBe(0);
    expect(policy.room({ load: 5, logins: 0, served: 5 })).toBe(1);
  });

  it('lets a worker do 512 logins in its life', () => {
    expect(policy.isUsedUp({ load: 0, logins: 0, served: 511 })).toBe(false);
    expect(policy.isUsedUp({ load: 3, logins: 0, served: 512 })).toBe(true);
    expect(policy.room({ load: 3, logins: 0, served: 512 })).toBe(0);
  });

  it('lets it do as many as its template has room for: later sessions would be forked from the worker', () => {
    const header = readFileSync(
      new URL('../../native/src/dataplane/session_template.h', import.meta.url),
      'utf8',
    );
    expect(/kSessions = (\d+);/.exec(header)?.[1]).toBe(String(POOLED_LOGINS));
  });

  it('prefers the worker whose death would end the fewest sessions', () => {
    const busy = { load: 5, logins: 0, served: 9 };
    expect(policy.choose([busy, unused, { load: 1, logins: 0, served: 1 }], 2)).toBe(unused);
    expect(policy.choose([], 2)).toBeUndefined();
  });

  const pool = { usable: 2, free: 0, waiting: 0, spare: 2, busyMs: 0 };

  it('keeps as many as are to be spare', () => {
    expect(policy.missing({ ...pool, usable: 0 })).toBe(2);
    expect(policy.missing({ ...pool, usable: 1 })).toBe(1);
    expect(policy.missing({ ...pool, usable: 0, spare: 0 })).toBe(0);
    expect(policy.missing({ ...pool, usable: 0, spare: 0, waiting: 1 })).toBe(1);
  });

  it('starts no worker for one that comes back from its login', () => {
    expect(policy.missing({ ...pool, free: 1 })).toBe(0);
    expect(policy.missing(pool)).toBe(0);
    expect(policy.missing({ ...pool, waiting: 8 })).toBe(0);
    expect(policy.missing({ ...pool, waiting: 8, busyMs: policy.patienceMs - 1 })).toBe(0);
  });

  it('starts one when none comes back, and another for those that wait', () => {
    const busyMs = policy.patienceMs;
    expect(policy.missing({ ...pool, busyMs })).toBe(1);
    expect(policy.missing({ ...pool, busyMs, waiting: 3 })).toBe(2);
    expect(policy.missing({ ...pool, busyMs, waiting: 300 })).toBe(2);
    expect(policy.missing({ ...pool, busyMs, spare: 0, usable: 1, waiting: 1 })).toBe(1);
  });

  it('starts one when more wait than those that come back can serve', () => {
    expect(policy.missing({ ...pool, waiting: 9 })).toBe(2);
  });
});

describe.each(['fresh', 'none'])('%s', (how) => {
  const policy = workerPolicy({ 'worker-clients': 1, 'session-process': how });

  it('gives a worker one client in its life', () => {
    expect(policy.room(unused)).toBe(1);
    expect(policy.room({ load: 0, logins: 0, served: 1 })).toBe(0);
    expect(policy.isUsedUp({ load: 0, logins: 0, served: 1 })).toBe(true);
  });

  it('keeps the spare workers unused', () => {
    expect(policy.missing({ usable: 2, free: 1, waiting: 0, spare: 2, busyMs: 0 })).toBe(1);
    expect(policy.missing({ usable: 2, free: 2, waiting: 0, spare: 2, busyMs: 0 })).toBe(0);
  });
});

describe('shared', () => {
  const policy = workerPolicy({ 'worker-clients': 4, 'session-process': 'pooled' });

  it('fills a worker up', () => {
    expect(policy.room(unused)).toBe(4);
    expect(policy.room({ load: 3, logins: 1, served: 9 })).toBe(1);
    expect(policy.room({ load: 4, logins: 0, served: 4 })).toBe(0);
    expect(policy.isUsedUp({ load: 0, logins: 0, served: 1000 })).toBe(false);
  });

  it('spreads clients over as many workers as are to be spare, and fills those up before new ones', () => {
    const with1 = { load: 1, logins: 0, served: 1 };
    const with3 = { load: 3, logins: 0, served: 3 };
    expect(policy.choose([unused, with3, with1], 2)).toBe(with1);
    expect(policy.choose([with3, unused, with1], 3)).toBe(unused);
    expect(policy.choose([unused, with3, with1], 1)).toBe(with3);
    expect(policy.choose([unused, with1], 0)).toBe(with1);
    expect(policy.choose([unused], 2)).toBe(unused);
    expect(policy.choose([], 2)).toBeUndefined();
  });
});
