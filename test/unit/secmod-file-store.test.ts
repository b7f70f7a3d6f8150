/** Sessions on disk: what a killed secmod finds again, and what it must not believe. */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FileStore } from '../../src/core/secmod/file-store.js';
import { isExpired, keyOf, NO_TRAFFIC, type Session } from '../../src/core/secmod/session.js';
import { MemoryStore } from '../../src/core/secmod/state-store.js';
import { safeIdOf } from '../../src/core/util/safe-id.js';

let directory: string;
let path: string;
let logged: string[];
const stores: FileStore[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-store-'));
  path = join(directory, 'secmod.state');
  logged = [];
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  rmSync(directory, { recursive: true });
});

const log = () => pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
/** As after SIGKILL: nothing of the store before is closed. */
async function open(capacity = 100): Promise<FileStore> {
  const store = await FileStore.open({ path, capacity, log: log() });
  stores.push(store);
  return store;
}

function session(sid: Uint8Array = randomBytes(32), changes: Partial<Session> = {}): Session {
  return {
    key: keyOf(sid),
    safeId: safeIdOf(sid),
    status: 'COMPLETED',
    vhost: 'default',
    userName: 'älice',
    groupName: '',
    remoteIp: '192.0.2.1',
    userAgent: 'x',
    devicePlatform: '',
    deviceType: '',
    tlsAuthOk: false,
    ipv4Seed: 1,
    created: 1,
    expires: 400,
    inUse: 1,
    sessionIsOpen: true,
    saved: NO_TRAFFIC,
    current: { bytesIn: 5, bytesOut: 6 },
    discReason: 'unspecified',
    disconnected: null,
    ipv4: '',
    ipv6: '',
    lease: '{}',
    settings: null,
    ourIp: '',
    accounted: false,
    ...changes,
  };
}

test('what was answered is there after a kill: entries, changes and deletions', async () => {
  const store = await open();
  const [a, b, c] = [session(), session(), session()];
  for (const each of [a, b, c]) expect(await store.insert(each)).toBe(true);
  await store.update(a.key, (found) => ({ ...found, inUse: 7 }));
  await store.update(b.key, () => null);
  const next = await open();
  expect(next.lossy).toBe(false);
  expect(await next.list()).toEqual([{ ...a, inUse: 7 }, c]);
  expect(await next.get(b.key)).toBeUndefined();
});

test('the file is for its owner alone and holds no cookie', async () => {
  const sid = randomBytes(32);
  await (await open()).insert(session(sid));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const text = readFileSync(path);
  for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
    expect(text.includes(sid.toString(form))).toBe(false);
  expect(text.includes(sid)).toBe(false);
});

test('logins under way are not kept, one that fails later leaves nothing', async () => {
  const store = await open();
  const [early, failed] = [session(), session()];
  await store.insert({ ...early, status: 'INIT' });
  await store.insert(failed);
  await store.update(failed.key, (found) => ({ ...found, status: 'FAILED' }));
  expect(await (await open()).list()).toEqual([]);
});

test('without a file, or with one that lost its end, the rest is believed', async () => {
  expect((await open()).lossy).toBe(true);
  const whole = session();
  await (await open()).insert(whole);
  appendFileSync(path, 'abcd ["half a li');
  const next = await open();
  expect(await next.list()).toEqual([whole]);
  expect(next.lossy).toBe(false);
  expect(logged.join('')).not.toContain('damaged');
});

describe('a file that cannot be believed is set aside with a word, and the store begins empty', () => {
  const spoilt = async (spoil: () => void) => {
    const store = await open();
    await store.insert(session());
    await store.insert(session());
    spoil();
    const next = await open();
    expect(await next.list()).toEqual([]);
    expect(next.lossy).toBe(true);
    expect(existsSync(`${path}.damaged`)).toBe(true);
    expect(logged.join('')).toContain('set aside');
    // It works again.
    const fresh = session();
    await next.insert(fresh);
    expect(await (await open()).list()).toEqual([fresh]);
  };

  test('a changed byte', () =>
    spoilt(() =>
      writeFileSync(path, readFileSync(path, 'utf8').replace('"inUse":1', '"inUse":0'), { mode: 0o600 }),
    ));
  test('others could write it', () => spoilt(() => chmodSync(path, 0o666)));
  test('something else', () => spoilt(() => writeFileSync(path, '\n\nnonsense\n')));
});

test('a disk that fails stops no login, is named once, and everything is written when it works again', async () => {
  const store = await open();
  const [a, b, c] = [session(), session(), session()];
  // Where the new file would be written there is a directory.
  mkdirSync(`${path}.new`);
  expect(await store.insert(a)).toBe(true);
  expect(await store.insert(b)).toBe(true);
  expect(logged.filter((line) => line.includes('cannot be written'))).toHaveLength(1);
  rmSync(`${path}.new`, { recursive: true });
  await store.insert(c);
  expect(await (await open()).list()).toEqual([a, b, c]);
});

test('the file does not grow without bound', async () => {
  const store = await open();
  const { key } = session();
  await store.insert(session(undefined, { key }));
  for (let n = 0; n < 3000; n++) await store.update(key, (found) => ({ ...found, expires: n }));
  expect(statSync(path).size).toBeLessThan(1 << 20);
  expect(await (await open()).list()).toEqual([expect.objectContaining({ key, expires: 2999 })]);
});

test('the capacity holds for what was on disk, too', async () => {
  const store = await open(2);
  expect(await store.insert(session())).toBe(true);
  expect(await store.insert(session())).toBe(true);
  expect(await store.insert(session())).toBe(false);
  expect(await (await open(1)).size()).toBe(1);
});

test('property: after any changes, at once or one by one, a store opened anew is equal', async () => {
  const change = fc.record({
    who: fc.nat(4),
    what: fc.constantFrom('insert', 'use', 'delete', 'fail'),
    wait: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
      rmSync(path, { force: true });
      const store = await open();
      const pending: Promise<unknown>[] = [];
      for (const { who, what, wait } of changes) {
        const one = session(Buffer.alloc(32, who));
        const done =
          what === 'insert'
            ? store.insert(one)
            : store.update(one.key, (found) =>
                what === 'delete'
                  ? null
                  : {
                      ...found,
                      ...(what === 'use' ? { inUse: found.inUse + 1 } : { status: 'FAILED' as const }),
                    },
              );
        pending.push(done);
        if (wait) await done;
      }
      await Promise.all(pending);
      const kept = (await store.list()).filter(({ status }) => status === 'COMPLETED');
      const order = (a: Session, b: Session) => a.key.localeCompare(b.key);
      expect((await (await open()).list()).sort(order)).toEqual(kept.sort(order));
    }),
    { numRuns: 60 },
  );
});

describe('expiry', () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 5 }),
    // Most of them within a few seconds, some at the other end of time.
    expires: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 2 ** 31 })),
    inUse: fc.integer({ min: 0, max: 1 }),
    remove: fc.boolean(),
    now: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 2 ** 31 })),
  });

  test('finds at every time what a look at each session finds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const store = new MemoryStore(100);
        for (const { key: number, expires, inUse, remove, now } of steps) {
          const made = session(Buffer.from([number]), { expires, inUse });
          if (!(await store.insert(made))) await store.update(made.key, () => (remove ? null : made));
          const all = await store.list();
          const expected = all.filter((each) => isExpired(each, now)).map(({ key }) => key);
          expect((await store.expired(now)).map(({ key }) => key).sort()).toEqual(expected.sort());
          // As secmod does with half of them: the others are found again.
          for (const key of expected.slice(0, expected.length / 2)) await store.update(key, () => null);
        }
      }),
    );
  });

  test('looks at no session that has not expired', async () => {
    const store = new MemoryStore(10_000);
    let looks = 0;
    for (let n = 0; n < 5000; n++) {
      const made = session(randomBytes(32), { inUse: n % 2, expires: 1000 + n });
      const watched = new Proxy(made, {
        get: (target, name, receiver) => {
          if (name === 'expires') looks += 1;
          return Reflect.get(target, name, receiver) as unknown;
        },
      });
      await store.insert(watched);
    }
    looks = 0;
    for (let now = 900; now < 1000; now++) expect(await store.expired(now)).toEqual([]);
    expect(looks).toBe(0);
    expect(await store.expired(1004)).toHaveLength(3);
  });
});
