/** Guesses at one user's password are slowed, and nobody is locked out by them. */
import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AuthBackendPlugin, Step } from '../../src/core/plugin-api/index.js';
import { type LeaveTry, LoginPace, type LoginTry } from '../../src/core/secmod/login-pace.js';
import { logIn, SecmodLab } from '../support/secmod-lab.js';

const TRIES = 3;
const INTERVAL_MS = 5000;
const never = new AbortController().signal;
let nowMs: number;
let waits: number;
let intervalMs: number;
let pace: LoginPace;

beforeEach(() => {
  nowMs = 1_800_000_000_000;
  waits = 0;
  intervalMs = INTERVAL_MS;
  pace = new LoginPace({
    tries: () => TRIES,
    intervalMs: () => intervalMs,
    nowMs: () => nowMs,
    onWait: () => waits++,
    log: pino({ level: 'silent' }),
  });
});

const from = (remoteIp: string, userName = 'alice', vhost = 'default'): LoginTry => ({
  remoteIp,
  userName,
  vhost,
});
const attacker = (n: number): LoginTry => from(`198.51.100.${n}`);

/** A try, and whether it has been let in or refused by now. */
function begin(who: LoginTry, signal = never) {
  const state: { leave?: LeaveTry; refused: boolean } = { refused: false };
  void pace.enter(who, signal).then((leave) => {
    if (leave) state.leave = leave;
    else state.refused = true;
  });
  return state;
}
const settled = () => new Promise(setImmediate);

async function beWrong(who: LoginTry): Promise<void> {
  const { leave } = await settledTry(who);
  if (!leave) throw new Error('it had to wait');
  leave('wrong');
}

async function settledTry(who: LoginTry, signal = never) {
  const state = begin(who, signal);
  await settled();
  return state;
}

async function spendAll(): Promise<void> {
  for (let n = 1; n <= TRIES; n++) await beWrong(attacker(n));
}

async function pass(ms: number): Promise<void> {
  nowMs += ms;
  pace.expire();
  await settled();
}

test('wrong passwords from many addresses: one try is let through per interval', async () => {
  await spendAll();
  const first = await settledTry(attacker(1));
  const second = await settledTry(attacker(2));
  expect([first.leave, second.leave, waits]).toEqual([undefined, undefined, 2]);
  await pass(INTERVAL_MS - 1);
  expect([first.leave, second.leave]).toEqual([undefined, undefined]);
  await pass(1);
  const [inside, outside] = first.leave ? [first, second] : [second, first];
  expect(inside.leave).toBeDefined();
  inside.leave?.('wrong');
  await settled();
  expect(outside.leave).toBeUndefined();
  await pass(INTERVAL_MS);
  expect(outside.leave).toBeDefined();
});

test('other users, other virtual hosts and other spellings', async () => {
  await spendAll();
  expect((await settledTry(from('192.0.2.9', 'bob'))).leave).toBeDefined();
  expect((await settledTry(from('192.0.2.9', 'alice', 'other'))).leave).toBeDefined();
  expect((await settledTry(from('192.0.2.9', 'ALICE'))).leave).toBeUndefined();
});

test('an address that the user has logged in from goes on, with a count of its own', async () => {
  pace.know(from('2001:db8::1'));
  await spendAll();
  const neighbour = from('2001:db8::77');
  for (let n = 0; n < TRIES; n++) await beWrong(neighbour);
  expect((await settledTry(neighbour)).leave).toBeUndefined();
  expect((await settledTry(from('2001:db8:0:1::1'))).leave).toBeUndefined();
});

test('of those that wait, the ones that were not wrong yet go first', async () => {
  await spendAll();
  const crowd = [1, 2, 3].flatMap((n) => [begin(attacker(n)), begin(attacker(n))]);
  const user = begin(from('192.0.2.1'));
  await pass(INTERVAL_MS);
  expect(user.leave).toBeDefined();
  expect(crowd.filter(({ leave }) => leave)).toEqual([]);
  const late = begin(from('192.0.2.1'));
  user.leave?.('right');
  await settled();
  // The address is known now.
  expect(late.leave).toBeDefined();
});

test('a crowd that logs in at once is not held up', async () => {
  const all = Array.from({ length: 20 }, (_, n) => begin(from(`192.0.2.${n}`)));
  await settled();
  for (let round = 0; round < 20; round++) {
    const inside = all.filter(({ leave }) => leave);
    expect(inside.length).toBeLessThanOrEqual(TRIES);
    for (const each of inside) {
      each.leave?.('right');
      delete each.leave;
      all.splice(all.indexOf(each), 1);
    }
    await settled();
  }
  expect(all).toEqual([]);
});

describe('the line is bounded', () => {
  test('one address has few places', async () => {
    await spendAll();
    const crowd = Array.from({ length: 10 }, () => begin(attacker(1)));
    await settled();
    expect(crowd.filter(({ refused }) => refused)).toHaveLength(6);
  });

  test('many addresses that were wrong take no place from one that was not', async () => {
    await spendAll();
    const user = begin(from('192.0.2.1'));
    for (let n = 0; n < 100; n++) begin(attacker((n % TRIES) + 1));
    const strangers = Array.from({ length: 28 }, (_, n) => begin(from(`203.0.113.${n}`)));
    await settled();
    expect([user.refused, ...strangers.map(({ refused }) => refused)]).not.toContain(true);
  });

  test('who gives up, leaves', async () => {
    await spendAll();
    const gone = new AbortController();
    const left = await settledTry(attacker(1), gone.signal);
    gone.abort();
    await settled();
    expect(left.refused).toBe(true);
    const next = begin(attacker(2));
    await pass(INTERVAL_MS);
    expect([left.leave, typeof next.leave]).toEqual([undefined, 'function']);
    expect((await settledTry(attacker(3), AbortSignal.abort())).refused).toBe(true);
  });
});

test('time forgives, also when the clock was put back', async () => {
  await spendAll();
  nowMs -= 86_400_000;
  const waiting = await settledTry(attacker(1));
  await pass(INTERVAL_MS);
  expect(waiting.leave).toBeDefined();
  waiting.leave?.('open');
  await pass(86_400_000);
  for (let n = 1; n <= TRIES; n++) await beWrong(attacker(n));
});

test('interval 0: nobody waits, and who waits is let in', async () => {
  await spendAll();
  const waiting = await settledTry(attacker(1));
  intervalMs = 0;
  await pass(0);
  expect(waiting.leave).toBeDefined();
  for (let n = 0; n < 10; n++) await beWrong(attacker(n));
});

describe('in secmod', () => {
  const asking: Step = { result: 'prompt', message: '', counter: 0 };
  const plugin: AuthBackendPlugin = {
    manifest: { name: 'word', options: {}, maxTries: 0 },
    create: async () => ({
      begin: ({ userName }) => ({
        start: async () => asking,
        answer: async (secret) =>
          Buffer.from(secret).toString() === 'right'
            ? { result: 'ok', userName, groups: [] }
            : { result: 'fail', retry: true, message: '' },
      }),
    }),
  };

  test.each(['alice', 'nobody'])(
    '%s: after the tries a login waits; it is counted and logged',
    async (user) => {
      const lab = await SecmodLab.start({
        plugin,
        auth: 'word',
        config: { 'wrong-password-tries': 2, 'wrong-password-interval': 7 },
      });
      try {
        const worker = lab.connectWorker();
        await logIn(worker, lab.init(1, user), 'a', 'b');
        let reply = '';
        const waiting = logIn(worker, lab.init(2, user), 'right').then((body) => {
          reply = body.reply;
        });
        while (lab.logged.every((line) => !line.includes('further tries wait'))) await settled();
        lab.nowMs += 6999;
        await lab.secmod.expire();
        await settled();
        expect(reply).toBe('');
        lab.nowMs += 1;
        await lab.secmod.expire();
        await waiting;
        expect(reply).toBe('OK');
        // The address is known from now on.
        expect(await logIn(worker, lab.init(3, user), 'c', 'right')).toMatchObject({ reply: 'OK' });
        await lab.secmod.report();
        await lab.main.call('SECM_LIST_COOKIES', {});
        expect(lab.stats.at(-1)).toMatchObject({ delayedLogins: 1, authFailures: 3 });
      } finally {
        await lab.stop();
      }
    },
  );

  test('one that waits until the deadline is refused, its password not looked at', async () => {
    const lab = await SecmodLab.start({ plugin, auth: 'word', config: { 'wrong-password-tries': 1 } });
    try {
      const worker = lab.connectWorker();
      await logIn(worker, lab.init(1, 'alice'), 'a');
      const waiting = logIn(worker, lab.init(2, 'alice'), 'right');
      while (lab.logged.every((line) => !line.includes('further tries wait'))) await settled();
      const logins = lab.secmod;
      lab.nowMs += 240_000;
      // secmod looks at deadlines first, and then lets in whom there is a place for.
      await logins.expire();
      expect(await waiting).toMatchObject({ reply: 'FAILED' });
      await lab.toldSteps();
      expect(lab.steps.filter(({ result }) => result === 'accepted')).toEqual([]);
    } finally {
      await lab.stop();
    }
  });
});

describe('many devices of one name at once', () => {
  const crowd = async () => {
    const tries = Array.from({ length: 200 }, () => begin(from('192.0.2.7')));
    await settled();
    return tries;
  };
  /** Tries that are in and not done yet. */
  const inside = (tries: ReturnType<typeof begin>[]) => tries.filter(({ leave }) => leave);

  test('that are right all get in, a few at a time', async () => {
    let tries = await crowd();
    let most = 0;
    while (tries.length > 0) {
      const now = inside(tries);
      most = Math.max(most, now.length);
      expect(now.length).toBeGreaterThan(0);
      for (const { leave } of now) leave?.('right');
      tries = tries.filter((each) => !now.includes(each));
      await settled();
      expect(tries.every(({ refused }) => !refused)).toBe(true);
    }
    // Of the name, and of the name from that address.
    expect(most).toBeLessThanOrEqual(2 * TRIES);
  });

  test('lose their places when one of them is wrong', async () => {
    const tries = await crowd();
    inside(tries)[0]?.leave?.('wrong');
    await settled();
    expect(tries.filter(({ refused }) => refused)).toHaveLength(200 - TRIES - 4);
  });
});
