/**
 * One login, from SEC_AUTH_INIT to its end. It follows secmod-login.machine.ts; the steps of the back end's
 * conversation are turned into the table's events here, and its effects are carried out.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { ClientCertificate, Conversation, SessionSettings, Step } from '../plugin-api/index.js';
import { safeIdOf } from '../util/safe-id.js';
import type { LeaveTry, LoginPace, TryOutcome } from './login-pace.js';
import { type LoginEvent, type LoginState, stepLogin } from './secmod-login.machine.js';
import { expiryFrom, keyOf, NO_TRAFFIC, type Session } from './session.js';
import { ipv4Seed, lifetimesOf } from './sessions.js';
import type { StateStore } from './state-store.js';
import type { LoginStatistics, LoginStep } from './statistics.js';
import type { Vhost } from './vhosts.js';
import type { LoginWay } from './ways.js';

type Init = Body<'SEC_AUTH_INIT'>;
type Reply = Body<'SEC_AUTH_REPLY'>;

export interface LoginDeps {
  readonly store: StateStore;
  readonly statistics: LoginStatistics;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** Points for a wrong password; false: the address is banned now. */
  readonly ban: (ip: string) => Promise<boolean>;
  /** Slows guesses at one user's password. */
  readonly pace: Pick<LoginPace, 'enter'>;
}

const WRONG_PASSWORD = 'Login failed.\nPlease enter your password.';

/** What a login is about, verified: its origin is true, the virtual host has this way, the client this certificate. */
export interface LoginRequest {
  readonly init: Init;
  readonly vhost: Vhost;
  readonly way: LoginWay;
  readonly certificate: ClientCertificate | null;
}

/** Bounds of SEC_AUTH_REPLY and SECM_SESSION_REPLY (ipc/messages.ts). */
const MAX_MESSAGE_BYTES = 1024;
const MAX_TOKEN_BYTES = 16 * 1024;
/** Of an answer that is no token: hashing takes time. */
const MAX_PASSWORD_BYTES = 4096;
const MAX_NAME_BYTES = 64;
/** plugin-api. */
const MAX_ACCOUNTING_STATE_BYTES = 8192;

const RESULTS = { ok: 'accepted', prompt: 'prompted', fail: 'wrong' } as const satisfies Record<
  Step['result'],
  LoginStep['result']
>;

const OUTCOMES = { ok: 'right', prompt: 'open', fail: 'wrong' } as const satisfies Record<
  Step['result'],
  TryOutcome
>;

export const FAILED: Reply = {
  reply: 'FAILED',
  sid: null,
  userName: '',
  message: '',
  passwdCounter: 0,
  banner: '',
  token: null,
};

export class LoginAttempt {
  readonly sid: Uint8Array = randomBytes(32);
  readonly #key = keyOf(this.sid);
  readonly #deps: LoginDeps;
  readonly #init: Init;
  readonly #vhost: Vhost;
  readonly #way: LoginWay;
  readonly #tlsAuthOk: boolean;
  readonly #abort = new AbortController();
  readonly #givenUp = aborted(this.#abort.signal);
  readonly #conversation: Conversation;
  /** Its lines name the connection and the session. */
  readonly #log: Logger;
  readonly #startedMs: number;
  readonly #deadlineMs: number;
  #state: LoginState = 'NONE';
  #userName: string;
  #groupName: string;
  #settings: SessionSettings | null = null;
  #accountingState = '';
  #prompt = { message: '', counter: 0 };
  /** For the client, while Negotiate goes on and when it has succeeded. */
  #token: Uint8Array | null = null;
  #tries = 0;
  /** The back end has not made its step yet. */
  #busy = false;

  constructor(deps: LoginDeps, { init, vhost, way, certificate }: LoginRequest) {
    this.#deps = deps;
    this.#init = init;
    this.#vhost = vhost;
    this.#log = deps.log.child({ client: init.client, session: safeIdOf(this.sid) });
    this.#way = way;
    this.#tlsAuthOk = certificate !== null;
    this.#userName = init.userName;
    this.#groupName = init.groupName;
    this.#startedMs = deps.nowMs();
    this.#deadlineMs = (init.sessionStartTime + vhost.config['auth-timeout']) * 1000;
    const { userName, groupName, remoteIp, ourIp, userAgent } = init;
    this.#conversation = way.backend.begin({
      userName,
      groupName,
      certificate,
      remoteIp,
      ourIp,
      vhost: init.vhost,
      userAgent,
      sessionId: safeIdOf(this.sid),
      signal: this.#abort.signal,
      deadline: this.#deadlineMs,
    });
  }

  get state(): LoginState {
    return this.#state;
  }

  /** The first step of the back end. */
  async begin(): Promise<Reply> {
    this.#move('begin');
    if (!(await this.#deps.store.insert(this.#newSession()))) {
      this.#log.error('the table of sessions is full');
      return this.#apply('reject');
    }
    return this.#advance(() => this.#conversation.start());
  }

  /** The answer to the last prompt. `sid` must be that of this login. */
  async answer(sid: Uint8Array, secret: Uint8Array): Promise<Reply> {
    if (!this.#isPending()) return FAILED;
    if (this.#busy || !timingSafeEqual(this.sid, sid))
      return this.#reject('answer that does not fit the login');
    if (this.#deps.nowMs() >= this.#deadlineMs) return this.#reject('auth-timeout has passed');
    if (!this.#token && secret.length > MAX_PASSWORD_BYTES) return this.#reject('the password is too long');
    this.#move('answer');
    if (!(await this.#updateEntry())) return this.#reject('the session was terminated');
    this.#busy = true;
    const leave = await this.#deps.pace.enter(this.#init, this.#abort.signal);
    if (!leave) return this.#isPending() ? this.#reject('too many tries of this user wait') : FAILED;
    return this.#advance(() => this.#conversation.answer(secret), leave);
  }

  /**
   * Tells a back end that is working that the deadline has passed. The state stays: an answer that is on its way
   * is no breach of the protocol, and is rejected when it comes.
   */
  expire(): void {
    if (this.#isPending() && this.#deps.nowMs() >= this.#deadlineMs) this.#abort.abort();
  }

  /** The worker or the client is gone, or a new login begins. */
  async abandon(): Promise<void> {
    // Nothing works for a login that has ended.
    if (this.#isPending()) this.#abort.abort();
    await this.#apply('abandon');
  }

  #isPending(): boolean {
    return this.#state === 'INIT' || this.#state === 'CONT';
  }

  async #advance(run: () => Promise<Step>, leave: LeaveTry = () => {}): Promise<Reply> {
    this.#busy = true;
    let outcome: TryOutcome = 'open';
    const startedMs = this.#deps.nowMs();
    try {
      const step = await Promise.race([run(), this.#givenUp]);
      outcome = OUTCOMES[step.result];
      const endedMs = this.#deps.nowMs();
      const event = await this.#eventOf(step);
      const refused = step.result === 'ok' && event === 'reject';
      this.#tell(refused ? 'rejected' : RESULTS[step.result], endedMs - startedMs);
      return this.#isPending() ? await this.#apply(event) : FAILED;
    } catch (error) {
      // Ended meanwhile, by abandon() or by an answer out of turn: that was dealt with there.
      if (!this.#isPending()) return FAILED;
      this.#tell('failed', this.#deps.nowMs() - startedMs);
      this.#log.error({ user: this.#userName, err: error }, 'login aborted');
      return await this.#apply('reject');
    } finally {
      this.#busy = false;
      leave(outcome);
    }
  }

  /** For the metrics: what came of a step of the back end, and how long it took. */
  #tell(result: LoginStep['result'], milliseconds: number): void {
    const method = this.#way.name;
    this.#deps.statistics.step({ method, result, milliseconds: Math.max(0, Math.round(milliseconds)) });
  }

  async #eventOf(step: Step): Promise<LoginEvent> {
    this.#token = step.result === 'fail' ? null : (step.token ?? null);
    if (this.#token && this.#token.length > MAX_TOKEN_BYTES) throw new Error('a token that is too long');
    switch (step.result) {
      case 'ok':
        this.#settings = step.session ?? null;
        this.#accountingState = step.accountingState ?? '';
        return this.#take(step.userName, step.groups) ? 'accept' : 'reject';
      case 'prompt':
        this.#prompt = { message: shorten(step.message), counter: step.counter };
        return 'prompt';
      case 'fail':
        return this.#afterWrong(step);
    }
  }

  async #afterWrong(step: Extract<Step, { result: 'fail' }>): Promise<LoginEvent> {
    const { remoteIp: ip } = this.#init;
    this.#tries++;
    this.#prompt = { ...this.#prompt, message: shorten(step.message) || WRONG_PASSWORD };
    this.#log.info({ user: this.#userName, ip, tries: this.#tries }, 'wrong password');
    const allowed = await this.#deps.ban(ip);
    const triesLeft = this.#way.maxTries === 0 || this.#tries < this.#way.maxTries;
    // A back end that refuses at its first step has asked for nothing that could be tried again.
    if (this.#state === 'INIT') return 'reject';
    return step.retry && allowed && triesLeft ? 'wrong' : 'exhaust';
  }

  /** The selected group must be one of the user's; without a selection the first one is taken. */
  #take(userName: string, groups: readonly string[]): boolean {
    const wanted = this.#init.groupName;
    const group = wanted === '' ? (groups[0] ?? '') : wanted;
    if (wanted !== '' && !groups.includes(wanted)) {
      this.#log.info({ user: userName, group: wanted }, 'the user is not in the selected group');
      return false;
    }
    const names = [userName, group];
    if (
      names.some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES) ||
      Buffer.byteLength(this.#accountingState) > MAX_ACCOUNTING_STATE_BYTES
    ) {
      this.#log.error('the back end gave a text that is too long');
      return false;
    }
    this.#userName = userName;
    this.#groupName = group;
    return true;
  }

  #reject(reason: string): Promise<Reply> {
    const { remoteIp: ip } = this.#init;
    this.#log.info({ user: this.#userName, ip, reason }, 'login rejected');
    return this.#apply('reject');
  }

  /** Changes the state at once, before anything else can happen. */
  #move(event: LoginEvent): readonly string[] {
    const { to, effects } = stepLogin(this.#state, event);
    this.#state = to;
    return effects;
  }

  /** Makes the transition and carries out its effects. */
  async #apply(event: LoginEvent): Promise<Reply> {
    const effects = this.#move(event);
    if (effects.includes('count')) this.#deps.statistics.failed();
    if (effects.includes('end')) this.#conversation.end?.();
    if (effects.includes('drop')) await this.#deps.store.update(this.#key, () => null);
    const entry = await this.#updateEntry();
    if (effects.includes('ask')) {
      const { message, counter } = this.#prompt;
      return { ...FAILED, reply: 'MSG', sid: this.sid, message, passwdCounter: counter, token: this.#token };
    }
    return effects.includes('complete') && entry ? this.#completed(entry) : FAILED;
  }

  #completed({ groupName, remoteIp }: Session): Reply {
    this.#deps.statistics.completed(this.#deps.nowMs() - this.#startedMs);
    const user = this.#userName;
    this.#log.info({ user, group: groupName, ip: remoteIp }, 'user logged in');
    const { banner } = this.#vhost.config;
    return { ...FAILED, reply: 'OK', sid: this.sid, userName: user, banner, token: this.#token };
  }

  /** Brings the entry to this login's state. undefined: there is none (any more). */
  async #updateEntry(): Promise<Session | undefined> {
    const status = this.#state;
    if (status === 'NONE') return undefined;
    const { config } = this.#vhost;
    const completion = (): Partial<Session> => ({
      userName: this.#userName,
      groupName: this.#groupName,
      settings: this.#settings,
      accountingState: this.#accountingState,
      ipv4Seed: ipv4Seed(this.#userName, config['predictable-ips']),
      expires: expiryFrom(this.#nowSec(), lifetimesOf(config)),
    });
    const extra = status === 'COMPLETED' ? completion() : {};
    const before = await this.#deps.store.update(this.#key, (session) => ({ ...session, status, ...extra }));
    return before && { ...before, status, ...extra };
  }

  #nowSec(): number {
    return Math.floor(this.#deps.nowMs() / 1000);
  }

  #newSession(): Session {
    const { vhost, userName, groupName, remoteIp, userAgent, devicePlatform, deviceType } = this.#init;
    const now = this.#nowSec();
    const client = { remoteIp, userAgent, devicePlatform, deviceType, tlsAuthOk: this.#tlsAuthOk };
    return {
      key: this.#key,
      safeId: safeIdOf(this.sid),
      status: 'INIT',
      vhost,
      userName,
      groupName,
      settings: null,
      ...client,
      ourIp: this.#init.ourIp,
      accounted: false,
      ipv4Seed: 0,
      created: now,
      expires: expiryFrom(now, lifetimesOf(this.#vhost.config)),
      inUse: 0,
      sessionIsOpen: false,
      saved: NO_TRAFFIC,
      current: NO_TRAFFIC,
      discReason: 'unspecified',
      disconnected: null,
      ipv4: '',
      ipv6: '',
      lease: '',
    };
  }
}

/** Rejects when `signal` is aborted, whether or not anybody waits for it then. */
function aborted(signal: AbortSignal): Promise<never> {
  const promise = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the login was given up')), { once: true });
  });
  promise.catch(() => undefined);
  return promise;
}

/** Cuts to what SEC_AUTH_REPLY carries, at a character's border. */
function shorten(text: string): string {
  const room = new Uint8Array(MAX_MESSAGE_BYTES);
  const { read } = new TextEncoder().encodeInto(text, room);
  return text.slice(0, read);
}
