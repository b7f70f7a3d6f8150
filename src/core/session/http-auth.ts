/**
 * One connection's login: turns requests and answers of other processes into effects. No I/O; the caller carries
 * the effects out and reports back. States and transitions are in http-auth.machine.ts.
 */
import type { Body } from '../ipc/messages.js';
import type { AuthBody } from '../wire/auth-body.js';
import {
  type AuthForm,
  formReply,
  type ProfileLink,
  phoneSuccess,
  successReply,
  type XmlStyle,
} from '../wire/auth-xml.js';
import type { ClientIdentity } from '../wire/connect-request.js';
import type { Cookies } from '../wire/cookies.js';
import { type GroupMenu, groupMenu, resolveGroup, withGroups } from '../wire/groups.js';
import { type DenyReason, type HttpReply, serviceUnavailable, unauthorized } from '../wire/http-reply.js';
import { type Negotiation, NO_NEGOTIATION, negotiateChallenge, negotiateHeader } from '../wire/negotiate.js';
import { type AuthEvent, type AuthState, type Row, START, step, validate } from './http-auth.machine.js';
import { certificateOnly, chooseWay, type LoginWay, loginWays, type MethodSettings } from './login-ways.js';

/** What of a vhost's options the login needs. */
export interface LoginSettings extends MethodSettings {
  readonly 'select-group': readonly string[];
  readonly 'default-select-group': string;
  readonly 'pre-login-banner': string;
  readonly 'cookie-timeout': number;
  readonly 'auth-timeout': number;
  readonly 'select-group-by-url': boolean;
  readonly 'cisco-client-compat': boolean;
}

/** What of a login's replies is not in the options. */
export interface LoginPages {
  /** Asked when the login has succeeded. */
  readonly certificateSha1: () => string;
  readonly profile: ProfileLink | null;
  /** Whose certificate the client has shown, as secmod says; null without a good one. */
  readonly holder: CertificateHolder | null;
}

export interface CertificateHolder {
  readonly userName: string;
  readonly groups: readonly string[];
}

export type Effect =
  | {
      readonly do: 'reply';
      readonly reply: HttpReply /** Why the connection ends with it; null: it goes on. */;
      readonly failure: string | null;
    }
  | {
      readonly do: 'auth-init';
      readonly userName: string;
      readonly groupName: string /** As SEC_AUTH_INIT has it. */;
      readonly way: number;
    }
  | { readonly do: 'auth-cont'; readonly sid: Uint8Array; readonly password: Uint8Array }
  | { readonly do: 'open-session'; readonly cookie: Uint8Array }
  | { readonly do: 'open-tunnel' }
  | { readonly do: 'drop'; readonly failure: string };

export type AuthReply = Body<'SEC_AUTH_REPLY'>;

/** Bounds of SEC_AUTH_INIT and SEC_AUTH_CONT, bytes. */
const MAX_NAME = 64;
const MAX_PASSWORD = 4096;
const NO_GROUPS: GroupMenu = { options: [], defaultOption: '' };
const FIRST_MESSAGE = 'Please enter your username and password.';
const PASSWORD_MESSAGE = 'Please enter your password.';
const GROUP_MESSAGE = 'Please select your group.';

const NO_WAY = 'the client has no good certificate or ticket, and there is no other way to log in';

const faults = validate();
if (faults.length > 0) throw new Error(`http-auth table: ${faults.join('; ')}`);

export class HttpAuth {
  readonly #settings: LoginSettings;
  readonly #pages: LoginPages;
  readonly #deadlineMs: number;
  readonly #ways: readonly LoginWay[];
  #way: LoginWay | null = null;
  #state: AuthState = START;
  #menu: GroupMenu;
  #style: XmlStyle = 'aggregate';
  #userName = '';
  #group = '';
  /** The client is an IP phone: one round, no forms. */
  #phone = false;
  /** The URL selected the group. */
  #forced = false;
  /** The next password, or token of Negotiate. */
  #password: Buffer | null = null;
  #negotiation = NO_NEGOTIATION;
  /** Of secmod for the client; null when none is expected in return. */
  #token: Uint8Array | null = null;
  #negotiateFailed = false;
  #sid: Uint8Array | null = null;
  #cookie: Uint8Array | null = null;
  #prompt: { message: string; counter: number } = { message: '', counter: 0 };
  #banner = '';
  #why = '';

  /** `nowMs` is the injected clock. */
  constructor(settings: LoginSettings, pages: LoginPages, nowMs: number) {
    this.#settings = settings;
    this.#pages = pages;
    this.#deadlineMs = nowMs + settings['auth-timeout'] * 1000;
    this.#ways = loginWays(settings);
    const menu = groupMenu(settings['select-group'], settings['default-select-group']);
    this.#menu = withGroups(menu, pages.holder?.groups ?? []);
  }

  get state(): AuthState {
    return this.#state;
  }

  /** A POST to an unknown path starts a login only while none is in progress. */
  get authenticating(): boolean {
    return this.#state !== 'INACTIVE';
  }

  /** User of the login, '' before one was named. */
  get userName(): string {
    return this.#userName;
  }

  /** Milliseconds until auth-timeout; 0 when it has passed. */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.#deadlineMs - nowMs);
  }

  /** GET of a login path. */
  get(identity: ClientIdentity, negotiation: Negotiation = NO_NEGOTIATION): Effect {
    this.#setStyle(identity);
    const way = this.#chooseWay(negotiation);
    if (!way) return this.#refuse(NO_WAY, 'No certificate');
    if (this.#isNegotiating(way)) return this.#negotiate(this.#group);
    return this.#on('form', 'the form was asked for');
  }

  /** A POST to `/group` selects that group for the whole login, if there is such a one. */
  selectByUrl(group: string): void {
    const settings = this.#settings;
    if (!settings['select-group-by-url'] && !settings['cisco-client-compat']) return;
    const option = this.#menu.options.find(({ value, label }) => value === group || label === group);
    if (!option || this.#state !== 'INACTIVE') return;
    this.#menu = { options: [option], defaultOption: '' };
    this.#group = option.value;
    this.#forced = true;
  }

  /** POST /svc */
  postPhone(body: AuthBody, identity: ClientIdentity): Effect {
    this.#phone = true;
    return this.post(body, identity);
  }

  /** POST of a login path. The password becomes this login's, which wipes it if it is of no use. */
  post(body: AuthBody, identity: ClientIdentity, negotiation: Negotiation = NO_NEGOTIATION): Effect {
    const effect = this.#post(body, identity, negotiation);
    const isSent = effect.do === 'auth-cont' && effect.password === body.password;
    if (!isSent && body.password !== this.#password) body.password?.fill(0);
    return effect;
  }

  #post(body: AuthBody, identity: ClientIdentity, negotiation: Negotiation): Effect {
    this.#setStyle(identity);
    const tooLong =
      Math.max(Buffer.byteLength(body.username ?? ''), Buffer.byteLength(body.group ?? '')) > MAX_NAME;
    if (tooLong || (body.password?.length ?? 0) > MAX_PASSWORD)
      return this.#refuse('user name, group or password is too long');
    const keep = body.group === null || this.#forced;
    const group = keep ? this.#group : resolveGroup(this.#menu, body.group);
    const way = this.#chooseWay(negotiation);
    if (!way) return this.#refuse(NO_WAY, 'No certificate');
    if (this.#isNegotiating(way)) return this.#negotiate(group);
    if (!way.needs.has('password')) return this.#withoutPassword(group, body.group === null);
    if (body.username !== null) return this.#login(body.username, group, body.password);
    if (body.password !== null && this.#state !== 'INACTIVE') return this.#givePassword(body.password);
    if (this.#state === 'INACTIVE') this.#group = group;
    return this.#on('form', 'the form was asked for');
  }

  /** Chosen anew with each request until a login begins: a client may say later what it can do. */
  #chooseWay(negotiation: Negotiation): LoginWay | null {
    this.#negotiation = negotiation;
    if (this.#state !== 'INACTIVE') return this.#way;
    const certificate = this.#pages.holder !== null;
    const others = chooseWay(this.#ways, { certificate, negotiate: false });
    // Where nothing else is left, the client is asked even if it has not offered it.
    const negotiate = !this.#negotiateFailed && (negotiation.offered || !others);
    this.#way = chooseWay(this.#ways, { certificate, negotiate });
    return this.#way;
  }

  /** The next thing that is wanted of the client is a token. */
  #isNegotiating(way: LoginWay): boolean {
    if (this.#state === 'INACTIVE') return way.needs.has('negotiate');
    return this.#state === 'REQ' && this.#token !== null;
  }

  #negotiate(group: string): Effect {
    const { token } = this.#negotiation;
    this.#group = group;
    if (this.#state === 'INACTIVE' && !token) return this.#on('challenge', 'a token is wanted');
    if (!token) return this.#refuse('the client has given Negotiate up');
    this.#password = token;
    return this.#state === 'INACTIVE' ? this.#on('login', 'login') : this.#on('password', 'the next token');
  }

  /** Another way than by Negotiate. */
  #hasFallback(): boolean {
    return chooseWay(this.#ways, { certificate: this.#pages.holder !== null, negotiate: false }) !== null;
  }

  /** secmod refuses tokens: the next way, from the beginning. */
  #fallBack(): Effect {
    this.#negotiateFailed = true;
    this.#sid = null;
    this.#userName = '';
    this.#way = chooseWay(this.#ways, { certificate: this.#pages.holder !== null, negotiate: false });
    return this.#on('fall-back', 'Negotiate has failed');
  }

  /** The certificate says who it is. `unasked`: the client has not been able to select a group. */
  #withoutPassword(group: string, unasked: boolean): Effect {
    if (this.#state !== 'INACTIVE') return this.#on('form', 'the form was asked for');
    const groups = this.#eligibleGroups();
    const [only = ''] = groups;
    if (group === '' && unasked && groups.length > 1)
      return this.#on('form', 'which group is to be selected');
    this.#userName = this.#pages.holder?.userName ?? '';
    this.#group = group === '' && groups.length === 1 ? only : group;
    return this.#on('login', 'login');
  }

  /** Groups of the certificate that the virtual host offers. */
  #eligibleGroups(): readonly string[] {
    const groups = this.#pages.holder?.groups ?? [];
    const offered = groupMenu(this.#settings['select-group'], '').options.map(({ value }) => value);
    return offered.length === 0 ? groups : groups.filter((group) => offered.includes(group));
  }

  #login(userName: string, group: string, password: Buffer | null): Effect {
    if (this.#state !== 'INACTIVE') {
      const same = userName === this.#userName && group === this.#group && this.#state === 'REQ';
      if (same && password) return this.#givePassword(password);
      if (same) return this.#on('prompt', 'the user name came again');
      return this.#on('other-login', 'a second login on the same connection');
    }
    this.#userName = userName;
    this.#group = group;
    this.#password = password;
    return this.#on('login', 'login');
  }

  #givePassword(password: Buffer): Effect {
    this.#password = password;
    return this.#on('password', 'a password after the login was over');
  }

  /** Answer to `auth-init` or `auth-cont`. */
  authReply(reply: AuthReply): Effect {
    this.#sid = reply.sid ?? this.#sid;
    const negotiated = this.#token !== null || (this.#state === 'INIT' && this.#negotiation.token !== null);
    this.#token = reply.token && Uint8Array.from(reply.token);
    if (reply.reply === 'FAILED' && negotiated && this.#hasFallback()) return this.#fallBack();
    if (reply.reply === 'FAILED')
      return this.#on('denied', reply.message || 'wrong user name, password or group');
    if (!this.#sid) return this.#on('failure', 'secmod gave no session id');
    if (reply.reply === 'OK') return this.#granted(reply);
    this.#prompt = { message: promptText(reply.message), counter: reply.passwdCounter };
    const atHand = this.#state === 'INIT' && this.#password !== null;
    if (this.#token && !atHand) return this.#on('next-token', 'secmod wants another token');
    return this.#on(atHand ? 'prompt-at-hand' : 'prompt', 'secmod asks for a password');
  }

  #granted(reply: AuthReply): Effect {
    this.#userName = reply.userName || this.#userName;
    this.#banner = reply.banner;
    return this.#on('granted', 'logged in');
  }

  /** CONNECT to the tunnel's path. */
  connect(cookies: Cookies): Effect {
    this.#cookie = cookies.webvpn;
    const { 'cisco-client-compat': once } = this.#settings;
    if (certificateOnly(this.#ways) && !once && !this.#pages.holder)
      return this.#on('connect-without-certificate', 'CONNECT without a client certificate');
    return this.#on(cookies.webvpn ? 'connect' : 'connect-without-cookie', 'CONNECT without a valid cookie');
  }

  /** Answer to `open-session`. */
  sessionReply(ok: boolean, reason: string): Effect {
    return this.#on(ok ? 'session' : 'no-session', `cookie refused: ${reason || 'no reason given'}`);
  }

  /** Another process did not answer. */
  failure(why: string): Effect {
    return this.#on('failure', why);
  }

  timeout(): Effect {
    return this.#on('timeout', `no login and tunnel within ${this.#settings['auth-timeout']} s`);
  }

  #on(event: AuthEvent, why: string): Effect {
    const row = step(this.#state, event);
    if (!row) return this.#refuse(`${event} in state ${this.#state}`);
    this.#state = row.to;
    this.#why = why;
    return this.#effect(row);
  }

  #refuse(failure: string, reason: DenyReason = 'Authentication failed'): Effect {
    this.#state = 'FAILED';
    return { do: 'reply', reply: unauthorized(reason), failure };
  }

  #effect(row: Row): Effect {
    switch (row.do) {
      case 'send-form':
        if (this.#phone) return this.#refuse('the IP phone sent no user name');
        return { do: 'reply', reply: formReply(this.#form('main')), failure: null };
      case 'send-password-form':
        if (this.#phone) return this.#refuse('login refused: an IP phone has one try');
        return { do: 'reply', reply: formReply(this.#form('password')), failure: null };
      case 'send-challenge':
        return { do: 'reply', reply: negotiateChallenge(this.#token, this.#hasFallback()), failure: null };
      case 'send-success':
        return { do: 'reply', reply: this.#success(), failure: null };
      case 'auth-init':
        return this.#authInit();
      case 'auth-cont':
        return { do: 'auth-cont', sid: this.#heldSid(), password: this.#takePassword() };
      case 'open-session':
        return { do: 'open-session', cookie: this.#cookie ?? new Uint8Array() };
      case 'open-tunnel':
        return { do: 'open-tunnel' };
      case 'deny':
        return {
          do: 'reply',
          reply: unauthorized('Authentication failed'),
          failure: `login refused: ${this.#why}`,
        };
      case 'deny-cookie':
        return { do: 'reply', reply: unauthorized('Cookie is not acceptable'), failure: this.#why };
      case 'unavailable':
        return { do: 'reply', reply: serviceUnavailable(), failure: this.#why };
      case 'internal-error':
        return { do: 'reply', reply: this.#internalError(row), failure: this.#why };
      case 'drop':
        return { do: 'drop', failure: this.#why };
    }
  }

  /** Only a name that was typed is sent: whose the certificate is secmod knows better. */
  #authInit(): Effect {
    const needs = this.#way?.needs;
    const typed = needs?.has('password') === true && !needs.has('negotiate');
    const way = this.#way?.index ?? 0;
    return { do: 'auth-init', userName: typed ? this.#userName : '', groupName: this.#group, way };
  }

  /** At CONNECT a 401 would make openconnect give the cookie up; a 503 lets it try again. */
  #internalError(row: Row): HttpReply {
    return row.in === 'COOKIE' ? serviceUnavailable('Server error') : unauthorized('Internal error');
  }

  #success(): HttpReply {
    if (this.#phone) return phoneSuccess(this.#heldSid());
    const reply = successReply({
      style: this.#style,
      sid: this.#heldSid(),
      banner: this.#banner,
      certificateSha1: this.#pages.certificateSha1(),
      profile: this.#pages.profile,
    });
    if (!this.#token) return reply;
    const [connection, ...headers] = reply.headers;
    const all = [...(connection ? [connection] : []), negotiateHeader(this.#token), ...headers];
    return { ...reply, headers: all };
  }

  #form(kind: 'main' | 'password'): AuthForm {
    const first = kind === 'main';
    return {
      style: this.#style,
      kind: first && !this.#way?.needs.has('password') ? 'group' : kind,
      banner: first ? this.#settings['pre-login-banner'] : '',
      message: first ? this.#firstMessage() : this.#prompt.message,
      menu: first ? this.#menu : NO_GROUPS,
      group: this.#group,
      passwordCounter: this.#prompt.counter,
      sid: this.#sid,
      cookieTimeoutSec: this.#settings['cookie-timeout'],
    };
  }

  #firstMessage(): string {
    return this.#way?.needs.has('password') ? FIRST_MESSAGE : GROUP_MESSAGE;
  }

  #setStyle(identity: ClientIdentity): void {
    this.#style = identity.agent.name === 'OC-V3' ? 'bare' : 'aggregate';
  }

  #heldSid(): Uint8Array {
    if (!this.#sid) throw new Error('no SID');
    return this.#sid;
  }

  /** The connection is gone: wipes a password that was not sent. */
  end(): void {
    this.#password?.fill(0);
  }

  /** The password is used once. The caller wipes it after sending. */
  #takePassword(): Buffer {
    const password = this.#password ?? Buffer.alloc(0);
    this.#password = null;
    return password;
  }
}

/** ocserv shows its own text when the back end has none or only repeats the label. */
function promptText(message: string): string {
  return message === '' || message.startsWith('Password:') ? PASSWORD_MESSAGE : message;
}
