/** One login by GSSAPI: each round is a token of the client and one for it. */
import type { BackendLog, Conversation, LoginContext, Step } from '../../../core/plugin-api/index.js';
import { type Credential, type LegOutcome, loadAddon, type Negotiation } from './addon.js';

export interface GssapiSettings {
  readonly credential: Credential;
  /** A principal that krb5.conf gives no local name is refused; otherwise its whole name is taken. */
  readonly requireLocalName: boolean;
  /** Longest time since the login at the KDC, 0: any. */
  readonly freshnessSec: number;
  /** Groups with a smaller number are left out. */
  readonly gidMin: number;
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
}

/** Kerberos needs one to three, SPNEGO one or two more. */
const MAX_LEGS = 8;
/** Threads that hang in a look-up before logins are refused. */
const MAX_RUNNING = 64;

export class GssapiConversation implements Conversation {
  readonly #settings: GssapiSettings;
  readonly #login: LoginContext;
  readonly #log: BackendLog;
  #negotiation: Negotiation | null = null;
  #legs = 0;

  constructor(settings: GssapiSettings, login: LoginContext, log: BackendLog) {
    this.#settings = settings;
    this.#login = login;
    this.#log = log;
  }

  async start(): Promise<Step> {
    this.#negotiation = new (loadAddon().Negotiation)(this.#settings.credential);
    return { result: 'prompt', message: '', counter: 0 };
  }

  async answer(token: Uint8Array): Promise<Step> {
    const running = loadAddon().runningLegs();
    if (running >= MAX_RUNNING) throw new Error(`${running} GSSAPI look-ups hang`);
    const outcome = await this.#accept(token);
    if (outcome.error !== '') return this.#fail(outcome.error);
    if (outcome.complete) return this.#identified(outcome);
    this.#legs += 1;
    if (this.#legs >= MAX_LEGS) return this.#fail('too many legs');
    return { result: 'prompt', message: '', counter: this.#legs, token: outcome.token };
  }

  /** A leg that still runs keeps what it needs by itself. */
  end(): void {
    this.#negotiation = null;
  }

  #accept(token: Uint8Array): Promise<LegOutcome> {
    const negotiation = this.#negotiation;
    if (!negotiation) throw new Error('the negotiation is over');
    return new Promise((resolve) => negotiation.accept(token, resolve));
  }

  #identified({ principal, localName, authTime, groups, token }: LegOutcome): Step {
    const { requireLocalName, gidMin } = this.#settings;
    if (requireLocalName && localName === '') return this.#fail('it has no local name', principal);
    if (this.#isStale(authTime)) return this.#fail('its login at the KDC is too long ago', principal);
    this.#log.info({ principal, localName, ip: this.#login.remoteIp }, 'Kerberos ticket accepted');
    const names = groups.filter(({ gid }) => gid >= gidMin).map(({ name }) => name);
    return { result: 'ok', userName: localName || principal, groups: names, token };
  }

  /** An unknown time is no proof. */
  #isStale(authTime: number): boolean {
    const { freshnessSec, nowMs } = this.#settings;
    return freshnessSec > 0 && nowMs() / 1000 > authTime + freshnessSec;
  }

  #fail(reason: string, principal = ''): Step {
    this.#log.info({ principal, reason, ip: this.#login.remoteIp }, 'GSSAPI refused the login');
    return { result: 'fail', retry: false, message: '' };
  }
}
