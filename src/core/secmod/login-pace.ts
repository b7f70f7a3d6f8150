/**
 * Slows the guessing of one user's password from however many addresses, which bans by address do not see. A user name
 * has so many wrong answers, then one try at a time is let through. Nobody is locked out by that: an address that the
 * user has logged in from counts for itself, and of the tries that wait those of addresses that were not wrong yet go
 * first. Names that nobody has are treated alike, so nothing shows which ones exist.
 */
import { randomInt } from 'node:crypto';
import type { Logger } from '../log.js';
import { ownerOf } from '../util/ip-owner.js';

export interface LoginPaceOptions {
  /** Wrong answers of a name until tries wait. Read anew at each use, as the next one. */
  readonly tries: () => number;
  /** After so long one wrong answer is forgotten; 0: no try waits. Milliseconds. */
  readonly intervalMs: () => number;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** A try has to wait. */
  readonly onWait: () => void;
  readonly log: Logger;
}

export interface LoginTry {
  readonly vhost: string;
  /** '': the client does not say who it is; it does not wait. */
  readonly userName: string;
  readonly remoteIp: string;
}

/** What came of a try; 'open': there is more to ask, or nobody knows. */
export type TryOutcome = 'right' | 'wrong' | 'open';
/** Ends a try; to be called once. */
export type LeaveTry = (outcome: TryOutcome) => void;

/** Tries that wait for one name, and those of them that are of one address. */
const MAX_WAITING = 32;
const MAX_WAITING_OF_OWNER = 4;
/** What an attacker could fill; the oldest go first. */
const MAX_LANES = 32_768;
const MAX_KNOWN = 65_536;
const MAX_WRONG_OWNERS = 1024;

/** 'go': it has a place; 'again': it may enter elsewhere; 'never': others have taken its place in the line. */
type Turn = 'go' | 'again' | 'never';

interface Waiter {
  readonly owner: string;
  readonly settle: (turn: Turn) => void;
}

/** The tries of one name, or of one name from an address that is known for it. */
class Lane {
  /** Addresses that were wrong. */
  readonly #wrong = new Set<string>();
  #waiting: Waiter[] = [];
  /** Wrong answers that are not forgotten yet. */
  #spent = 0;
  #inside = 0;
  #sinceMs = 0;
  /** The log has it. */
  isTold = false;

  get isIdle(): boolean {
    return this.#spent === 0 && this.#inside === 0 && this.#waiting.length === 0;
  }

  /** Takes a place if there is one. */
  tryEnter(tries: number): boolean {
    if (this.#spent + this.#inside >= tries) return false;
    this.#inside++;
    return true;
  }

  leave(owner: string, outcome: TryOutcome, nowMs: number): void {
    this.#inside--;
    if (outcome !== 'wrong') return;
    if (this.#spent === 0) this.#sinceMs = nowMs;
    this.#spent++;
    addBounded(this.#wrong, owner, MAX_WRONG_OWNERS);
  }

  /** Puts a try into the line, maybe in the place of another one. */
  wait(waiter: Waiter): void {
    const ofOwner = this.#waiting.filter(({ owner }) => owner === waiter.owner);
    if (ofOwner.length >= MAX_WAITING_OF_OWNER) {
      waiter.settle('never');
      return;
    }
    this.#waiting.push(waiter);
    if (this.#waiting.length > MAX_WAITING) this.#displaceOne();
  }

  #displaceOne(): void {
    const wrong = this.#waiting.filter(({ owner }) => this.#wrong.has(owner));
    const displaced = anyOf(wrong.length > 0 ? wrong : this.#waiting);
    this.withdraw(displaced);
    displaced.settle('never');
  }

  withdraw(waiter: Waiter): void {
    this.#waiting = this.#waiting.filter((each) => each !== waiter);
  }

  /** Takes those of this address out of the line. */
  withdrawOwner(of: string): Waiter[] {
    const taken = this.#waiting.filter(({ owner }) => owner === of);
    this.#waiting = this.#waiting.filter(({ owner }) => owner !== of);
    return taken;
  }

  /** Forgets what time has forgiven, and lets in whom there is a place for. */
  advance(tries: number, intervalMs: number, nowMs: number): void {
    // A clock that was put back must not make it last longer.
    this.#sinceMs = Math.min(this.#sinceMs, nowMs);
    const forgiven = intervalMs === 0 ? this.#spent : Math.floor((nowMs - this.#sinceMs) / intervalMs);
    this.#spent = Math.max(0, this.#spent - forgiven);
    this.#sinceMs += forgiven * intervalMs;
    while (this.#waiting.length > 0 && this.tryEnter(tries)) {
      const fresh = this.#waiting.filter(({ owner }) => !this.#wrong.has(owner));
      const next = anyOf(fresh.length > 0 ? fresh : this.#waiting);
      this.withdraw(next);
      next.settle('go');
    }
  }
}

export class LoginPace {
  readonly #options: LoginPaceOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Names with the addresses that they have logged in from. */
  readonly #known = new Set<string>();

  constructor(options: LoginPaceOptions) {
    this.#options = options;
  }

  /** Resolves when the answer may be checked; null: it must not be, too many wait already or `signal` was aborted. */
  async enter(who: LoginTry, signal: AbortSignal): Promise<LeaveTry | null> {
    if (this.#options.intervalMs() === 0 || who.userName === '') return () => {};
    const owner = ownerOf(who.remoteIp);
    const known = knownKey(who, owner);
    const lane = this.#lane(this.#known.has(known) ? known : nameKey(who));
    this.#advance(lane);
    if (lane.tryEnter(this.#options.tries())) return this.#leave(lane, who, owner);
    return this.#wait(lane, who, owner, signal);
  }

  /** The user has logged in from there. */
  know(who: LoginTry): void {
    const owner = ownerOf(who.remoteIp);
    addBounded(this.#known, knownKey(who, owner), MAX_KNOWN);
    // What waits from there need not any more.
    for (const waiter of this.#lanes.get(nameKey(who))?.withdrawOwner(owner) ?? []) waiter.settle('again');
  }

  /** To be called about once a second: lets in whose time has come. */
  expire(): void {
    for (const [key, lane] of this.#lanes) {
      this.#advance(lane);
      if (lane.isIdle) this.#lanes.delete(key);
    }
  }

  async #wait(lane: Lane, who: LoginTry, owner: string, signal: AbortSignal): Promise<LeaveTry | null> {
    const { log, onWait } = this.#options;
    onWait();
    if (!lane.isTold)
      log.warn(
        { user: who.userName, vhost: who.vhost },
        'many wrong passwords for this user; further tries wait',
      );
    lane.isTold = true;
    const turn = await new Promise<Turn>((settle) => {
      const waiter = { owner, settle };
      const withdraw = (): void => {
        lane.withdraw(waiter);
        settle('never');
      };
      signal.addEventListener('abort', withdraw, { once: true });
      lane.wait(waiter);
      if (signal.aborted) withdraw();
    });
    if (turn === 'again') return this.enter(who, signal);
    return turn === 'go' ? this.#leave(lane, who, owner) : null;
  }

  #leave(lane: Lane, who: LoginTry, owner: string): LeaveTry {
    return (outcome) => {
      lane.leave(owner, outcome, this.#options.nowMs());
      if (outcome === 'right') this.know(who);
      this.#advance(lane);
    };
  }

  #advance(lane: Lane): void {
    const { tries, intervalMs, nowMs } = this.#options;
    lane.advance(tries(), intervalMs(), nowMs());
  }

  #lane(key: string): Lane {
    const lane = this.#lanes.get(key) ?? new Lane();
    this.#lanes.set(key, lane);
    if (this.#lanes.size > MAX_LANES) this.#lanes.delete(firstOf(this.#lanes.keys()) ?? '');
    return lane;
  }
}

/** As most back ends compare names, or more loosely: otherwise each spelling would have tries of its own. */
function nameKey({ vhost, userName }: LoginTry): string {
  return JSON.stringify([vhost, userName.normalize('NFKC').toLowerCase()]);
}

function knownKey(who: LoginTry, owner: string): string {
  return `${owner} ${nameKey(who)}`;
}

function addBounded(set: Set<string>, value: string, max: number): void {
  set.delete(value);
  set.add(value);
  if (set.size > max) set.delete(firstOf(set.keys()) ?? '');
}

function firstOf(keys: Iterable<string>): string | undefined {
  for (const key of keys) return key;
  return undefined;
}

function anyOf<T>(items: readonly T[]): T {
  const item = items[randomInt(items.length)];
  if (item === undefined) throw new Error('nothing to choose from');
  return item;
}
