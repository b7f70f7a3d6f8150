/**
 * One client, from its TCP connection to the end of its tunnel. Everything here is keyed by main's handle, so a
 * process may hold one client or thousands.
 *
 *   TLS (native) -> stream -> serveHttp -> HttpAuth (decides) -> effects: replies, secmod, main -> Tunnel
 */
import { VpnError } from '../errors.js';
import type { Body } from '../ipc/messages.js';
import type { TlsInfo } from '../native/tls-types.js';
import type { CloseReason, TunnelEvent } from '../native/types.js';
import { type Effect, HttpAuth } from '../session/http-auth.js';
import { planTunnel, type Session, wantsIpv6 } from '../session/tunnel-plan.js';
import { isIPv6 } from '../util/ip-text.js';
import { parseAuthBody } from '../wire/auth-body.js';
import {
  type ClientIdentity,
  type ConnectRequest,
  clientIdentity,
  header,
  parseConnectRequest,
} from '../wire/connect-request.js';
import { parseCookies } from '../wire/cookies.js';
import type { HttpReply } from '../wire/http-reply.js';
import { parseNegotiation } from '../wire/negotiate.js';
import { route } from '../wire/urls.js';
import { certificateHolder } from './client-certificate.js';
import type { ClientDeps, MainChannel, SecureStream } from './client-deps.js';
import { ClientLog } from './client-log.js';
import { detailOf, messageOf, NO_COUNTS, OUT_OF_DESCRIPTORS, reportOf } from './detail.js';
import { type HttpHandler, type HttpRequest, serveHttp } from './http-front.js';
import { type Answer, noSuchPage, Pages } from './pages.js';
import { SecmodCalls, type SignRequest, type Startup } from './secmod-calls.js';
import { type OpenTunnel, Tunnel, type TunnelClosed } from './tunnel.js';
import type { Vhost } from './vhosts.js';

const ACCESS_DENIED = 49; // RFC 8446 §6.2
const HANDSHAKE_TIMEOUT_MS = 30_000;

export class Client implements HttpHandler {
  readonly handle: number;
  readonly log: ClientLog;
  readonly #deps: ClientDeps;
  readonly #startup: Startup;
  readonly #fd: number;
  readonly #secmod: SecmodCalls;
  /** null: the connection is the tunnel's. */
  #secure: SecureStream | null;
  /** Milliseconds since the epoch. */
  readonly #acceptedMs: number;
  readonly #timer: { auth: NodeJS.Timeout; handshake: NodeJS.Timeout };
  #tls: TlsInfo | null = null;
  #vhost: Vhost;
  #auth: HttpAuth | null = null;
  /** Who has the tunnel. */
  #userName = '';
  #pages: Pages;
  #identity: ClientIdentity = clientIdentity({});
  #connect: { request: ConnectRequest; head: Buffer } | null = null;
  #granted: Pick<OpenTunnel, 'session' | 'tunFd' | 'plan'> | null = null;
  #tunnel: Tunnel | null = null;
  /** Where main is told of this client: the channel of the main that knows it. */
  #main: MainChannel;
  /** For a main that is started again. */
  #ticket: Uint8Array | null = null;
  /** Last message about this client. */
  #closing: Body<'CLIENT_CLOSED'> | null = null;
  /** Why the connection ended, if not because its client wanted so. */
  #failure: string | null = null;
  #gone = false;

  /** Takes ownership of `fd`. Throws when TLS cannot be started on it. */
  constructor(deps: ClientDeps, startup: Startup, fd: number) {
    this.handle = startup.client;
    this.log = new ClientLog(deps.log, startup);
    this.#deps = deps;
    this.#main = deps.main;
    this.#startup = startup;
    this.#acceptedMs = deps.now();
    this.#fd = fd;
    this.#secmod = new SecmodCalls(deps.secmod, startup);
    this.#vhost = deps.vhosts.default;
    this.#pages = this.#pagesOf(this.#vhost);
    this.#secure = deps.openStream(deps.vhosts, fd, startup, {
      onSign: (requestId, vhost, keyIndex, scheme, data) =>
        void this.#signHandshake(vhost, { requestId, keyIndex, scheme, data }),
      onSecure: (info) => this.#onSecure(info),
      onClose: (error, bytesRead) => this.#onClose(error, bytesRead),
    });
    // onClose tells the same, and exactly once.
    this.#secure.on('error', () => undefined);
    const authTimeoutMs = this.#vhost.options['auth-timeout'] * 1000;
    this.#timer = {
      auth: setTimeout(() => this.#onAuthTimeout(), authTimeoutMs),
      handshake: setTimeout(() => this.#fail('TLS handshake took too long'), HANDSHAKE_TIMEOUT_MS),
    };
  }

  get hasTunnel(): boolean {
    return this.#tunnel !== null;
  }

  get isGone(): boolean {
    return this.#gone;
  }

  /** The tunnel ended while there was no main to tell. */
  get isUnreported(): boolean {
    return this.#gone && this.#tunnel !== null && this.#main.closed;
  }

  /**
   * WORKER_RESUME: asks a main that was started again to take this client over. A tunnel that it refuses is dropped:
   * its client comes back with its cookie, if that is still good. Rejects when this main is gone, too.
   */
  async resume(main: MainChannel): Promise<void> {
    if (!this.#tunnel || !this.#ticket) return;
    const body = { client: this.handle, open: !this.#gone, ticket: Uint8Array.from(this.#ticket) };
    const { reply, reason } = (await main.call('WORKER_RESUME', body)).body;
    if (reply === 'FAILED') {
      this.log.lines.warn({ reason }, 'the new main does not take the tunnel over');
      this.terminate('drop', 'server-disconnect');
      return;
    }
    this.#main = main;
    if (this.#closing) main.send('CLIENT_CLOSED', this.#closing);
    else this.#tunnel.resume(main);
  }

  // ---------------------------------------------------------------- TLS

  async #signHandshake(vhost: string, request: SignRequest): Promise<void> {
    const signature = await this.#secmod.signature(this.#deps.vhosts.find(vhost), request, (why) => {
      this.#failure ??= why;
    });
    if (!this.#gone) this.#stream.connection.completeSign(request.requestId, signature);
  }

  /** The client renegotiates TLS 1.2 inside its tunnel. */
  async #signRekey(id: number, request: SignRequest): Promise<void> {
    const signature = await this.#secmod.signature(this.#vhost, request, (why) => {
      this.log.lines.warn(why);
    });
    if (!this.#gone) this.#deps.dataplane.completeSign(id, request.requestId, signature);
  }

  #onSecure(info: TlsInfo): void {
    clearTimeout(this.#timer.handshake);
    const { vhosts, now } = this.#deps;
    const milliseconds = Math.max(0, Math.round(now() - this.#acceptedMs));
    this.#main.sendLater('HANDSHAKE', { client: this.handle, channel: 'tls', milliseconds });
    this.#tls = info;
    this.#vhost = vhosts.find(info.vhost);
    this.#pages = this.#pagesOf(this.#vhost);
    void this.#serve({ vhost: this.#vhost.name, verifyError: info.verifyError });
  }

  /** HTTP begins when it is known whether the client has a good certificate. */
  async #serve(info: Pick<TlsInfo, 'vhost' | 'verifyError'>): Promise<void> {
    const { connection } = this.#stream;
    const holder = await certificateHolder(connection, info, this.#secmod, this.log, this.#startup.remoteIp);
    if (this.#gone) return;
    const profile = this.#vhost.profile?.link ?? null;
    const pages = { certificateSha1: () => this.#certificateSha1(), profile, holder };
    this.#auth = new HttpAuth(this.#vhost.options, pages, this.#deps.now());
    serveHttp(this.#stream, this);
  }

  #pagesOf(vhost: Vhost): Pages {
    const ban = async (score: number): Promise<boolean> =>
      (await this.#main.call('BAN_IP', { client: this.handle, score })).body.allowed;
    return new Pages(vhost, { secmod: this.#secmod, ban });
  }

  #certificateSha1(): string {
    const { certificates } = this.#vhost;
    return (certificates[this.#tls?.keyIndex ?? 0] ?? certificates[0])?.sha1 ?? '';
  }

  #onClose(error: Error | null, bytesRead: number): void {
    if (bytesRead === 0 && !this.#failure) {
      this.#finish('health-probe', '');
      return;
    }
    if (error) this.#failure ??= error.message;
    if (!this.#tls) this.#failure ??= 'closed during the TLS handshake';
    this.#finish(this.#failure ? 'error' : 'unspecified', this.#failure ?? '');
  }

  // ---------------------------------------------------------------- HTTP

  onRequest(request: HttpRequest, reply: (reply: HttpReply) => void): void {
    void this.#answer(request, (plain) => reply(this.#pages.finish(plain)));
  }

  async #answer(request: HttpRequest, reply: (reply: HttpReply) => void): Promise<void> {
    const auth = this.#session();
    try {
      const answer = await this.#pages.answer(request, auth.authenticating);
      if (this.#gone) return;
      if (answer.kind === 'reply') {
        this.#failure = answer.failure;
        reply(answer.reply);
        return;
      }
      this.#identity = answer.identity;
      await this.#run(this.#loginEffect(request, answer), reply);
    } catch (error) {
      await this.#run(auth.failure(messageOf(error)), reply);
    }
  }

  #loginEffect(request: HttpRequest, answer: Exclude<Answer, { kind: 'reply' }>): Effect {
    const auth = this.#session();
    const negotiation = parseNegotiation(request.headers);
    if (request.method === 'GET') return auth.get(this.#identity, negotiation);
    const body = parseAuthBody(request.body);
    if (answer.kind === 'phone') return auth.postPhone(body, this.#identity);
    auth.selectByUrl(answer.group);
    return auth.post(body, this.#identity, negotiation);
  }

  onConnect(request: HttpRequest, head: Buffer, reply: (reply: HttpReply) => void): void {
    const refuse = (refusal: HttpReply): void => reply(this.#pages.connectRefusal(refusal));
    void this.#answerConnect(request, head, refuse);
  }

  async #answerConnect(
    request: HttpRequest,
    head: Buffer,
    refuse: (reply: HttpReply) => void,
  ): Promise<void> {
    const auth = this.#session();
    try {
      const mayLook = await this.#pages.mayLook(request);
      if (this.#gone) return;
      if (!mayLook || route('CONNECT', request.url, auth.authenticating).kind !== 'tunnel') {
        const answer = noSuchPage(request);
        this.#failure = answer.failure;
        refuse(answer.reply);
        return;
      }
      this.#identity = clientIdentity(request.headers);
      this.#connect = { request: parseConnectRequest(request.headers), head };
      await this.#run(auth.connect(parseCookies(header(request.headers, 'Cookie'))), refuse);
    } catch (error) {
      await this.#run(auth.failure(messageOf(error)), refuse);
    }
  }

  onHttpFailure(reason: string): void {
    this.#fail(reason);
  }

  onAlert(): void {
    this.#stream.endWithAlert(ACCESS_DENIED);
  }

  get #stream(): SecureStream {
    if (!this.#secure) throw new Error('the connection was given to the tunnel');
    return this.#secure;
  }

  #secured(): TlsInfo {
    if (!this.#tls) throw new Error('no TLS handshake yet');
    return this.#tls;
  }

  #session(): HttpAuth {
    if (!this.#auth) throw new Error('HTTP before the TLS handshake');
    return this.#auth;
  }

  // ---------------------------------------------------------------- effects

  /** Carries effects out until the next request is due or the tunnel is open. */
  async #run(first: Effect, reply: (reply: HttpReply) => void): Promise<void> {
    let effect: Effect | null = first;
    while (effect && !this.#gone) effect = await this.#carryOut(effect, reply);
  }

  async #carryOut(effect: Effect, reply: (reply: HttpReply) => void): Promise<Effect | null> {
    const auth = this.#session();
    try {
      switch (effect.do) {
        case 'reply':
          this.#failure = effect.failure;
          reply(effect.reply);
          return null;
        case 'auth-init':
          return this.#authReply(
            await this.#secmod.authInit(this.#vhost.name, effect, this.#identity, this.#timeLeftMs()),
          );
        case 'auth-cont':
          return this.#authReply(
            await this.#secmod.authCont(effect.sid, effect.password, this.#timeLeftMs()),
          );
        case 'open-session':
          return await this.#openSession(effect.cookie);
        case 'open-tunnel':
          this.#openTunnel();
          return null;
        case 'drop':
          this.#fail(effect.failure);
          return null;
      }
    } catch (error) {
      // A process that does not answer is told in the line about the connection; anything else is our fault.
      if (!(error instanceof VpnError)) this.log.lines.error({ err: error }, 'unexpected failure');
      return auth.failure(messageOf(error));
    }
  }

  /** Until auth-timeout, which ends the connection by itself. In whole seconds: Node keeps a list for each duration. */
  #timeLeftMs(): number {
    return 1000 * Math.max(1, Math.ceil(this.#session().remainingMs(this.#deps.now()) / 1000));
  }

  #authReply(reply: Body<'SEC_AUTH_REPLY'>): Effect {
    this.log.identify(reply.sid);
    return this.#session().authReply(reply);
  }

  /** AUTH_COOKIE_REQ: main opens the session or refuses. */
  async #openSession(cookie: Uint8Array): Promise<Effect> {
    const auth = this.#session();
    this.log.identify(cookie);
    const request = this.#connectRequest();
    const { hostname, ipv4 } = request;
    const ipv6 = wantsIpv6({ request, identity: this.#identity });
    const body = { client: this.handle, cookie: Uint8Array.from(cookie), hostname, ipv4, ipv6 };
    const answer = await this.#main.call('AUTH_COOKIE_REQ', body, { timeoutMs: this.#timeLeftMs() });
    const [tunFd] = answer.fds;
    const { reply, reason, session } = answer.body;
    if (reply !== 'OK') return auth.sessionReply(false, reason);
    if (!session) return auth.failure('main sent no session');
    if (tunFd === undefined) {
      this.#main.send('WORKER_FULL', { client: this.handle });
      return auth.failure(OUT_OF_DESCRIPTORS);
    }
    const plan = this.#gone ? null : this.#plan(session);
    if (!plan || 'error' in plan) {
      this.#deps.io.close(tunFd);
      return auth.failure(plan?.error ?? 'the client is gone');
    }
    this.#ticket = Uint8Array.from(session.ticket);
    this.#granted = { session: { ...session, sid: Uint8Array.from(session.sid) }, tunFd, plan };
    return auth.sessionReply(true, '');
  }

  #connectRequest(): ConnectRequest {
    if (!this.#connect) throw new Error('no CONNECT request');
    return this.#connect.request;
  }

  #plan(session: Session): ReturnType<typeof planTunnel> {
    const { io, now, random } = this.#deps;
    return planTunnel({
      session,
      request: this.#connectRequest(),
      identity: this.#identity,
      settings: this.#vhost.options,
      tls: this.#secured(),
      outerIpv6: isIPv6(this.#startup.remoteIp),
      tcpPathMtu: io.tcpPathMtu(this.#fd),
      nowSec: Math.floor(now() / 1000),
      random: random(),
    });
  }

  /** The state is COMPLETE: from here a failure ends the connection, there is no HTTP to answer with. */
  #openTunnel(): void {
    if (!this.#granted) throw new Error('no session was granted');
    clearTimeout(this.#timer.auth);
    const tls = this.#secured();
    const { connection, head } = this.#stream.detach();
    const unread = Buffer.concat([this.#connect?.head ?? Buffer.alloc(0), head]);
    const open = { ...this.#granted, connection, tls, tcpFd: this.#fd, head: unread };
    const deps = { ...this.#deps, log: this.log, client: this.handle, onClosed: this.#onTunnelClosed };
    try {
      this.#tunnel = new Tunnel(deps, open);
    } catch (error) {
      this.#fail(`the tunnel cannot be opened: ${messageOf(error)}`);
      return;
    }
    this.#deps.onTunnel(this.#tunnel.id, this);
    this.#endLogin();
  }

  /** What only the login needed is not kept for the hours or days that the tunnel lasts. */
  #endLogin(): void {
    const auth = this.#session();
    this.#userName = auth.userName;
    auth.end();
    this.#auth = null;
    this.#secure = null;
    this.#connect = null;
    this.#granted = null;
  }

  // ---------------------------------------------------------------- tunnel

  onTunnelEvent(event: TunnelEvent): void {
    if (event.type === 'sign') void this.#signRekey(event.id, event);
    else this.#tunnel?.onEvent(event);
  }

  /** UDP_FD. Takes ownership of the descriptor. */
  attachUdp(fd: number, hello: boolean, datagram: Uint8Array): void {
    // Before the tunnel is open nobody can know its id: a replay. The client sends its hello again.
    if (this.#tunnel && !this.#gone) this.#tunnel.attachUdp(fd, hello, datagram);
    else this.#deps.io.close(fd);
  }

  /** TERMINATE, or the end of this process. */
  terminate(how: 'disconnect' | 'drop', reason: CloseReason): void {
    if (this.#gone) return;
    if (this.#tunnel) this.#tunnel.terminate(how, reason);
    else this.#fail(`ended by the server: ${reason}`);
  }

  #onTunnelClosed: TunnelClosed = (reason, detail, counters) =>
    this.#finish(reason, detail, reportOf(counters));

  // ---------------------------------------------------------------- end

  #onAuthTimeout(): void {
    const effect = this.#auth?.timeout();
    this.#fail(effect?.do === 'drop' ? effect.failure : 'no login within auth-timeout');
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    this.#secure?.destroy();
  }

  #finish(reason: CloseReason, detail: string, counts = NO_COUNTS): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#timer.auth);
    clearTimeout(this.#timer.handshake);
    this.#auth?.end();
    this.#secmod.endLogin();
    this.log.ended({ reason, detail, user: this.#auth?.userName ?? this.#userName });
    this.#closing = { client: this.handle, reason, detail: detailOf(detail), ...counts };
    this.#main.send('CLIENT_CLOSED', this.#closing);
    this.#deps.onGone(this);
  }
}
