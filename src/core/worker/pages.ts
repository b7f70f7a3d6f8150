/**
 * What one connection may see: the camouflage in front of everything, the pages that need no login, the profile that
 * needs one, and the administrator's headers on all that is sent.
 */
import { Camouflage } from '../session/camouflage.js';
import { phoneHello } from '../wire/auth-xml.js';
import { type ClientIdentity, clientIdentity, header } from '../wire/connect-request.js';
import { parseCookies } from '../wire/cookies.js';
import { parseHeaders } from '../wire/extra-headers.js';
import { type Header, type HttpReply, notFound, page } from '../wire/http-reply.js';
import { type Route, route } from '../wire/urls.js';
import type { HttpRequest } from './http-front.js';
import { askKdc, type KdcProxyServices, kdcPath } from './kdc-proxy.js';
import type { SecmodCalls } from './secmod-calls.js';
import type { Vhost } from './vhosts.js';

/** A request that is part of a login, or a reply to it. */
export type Answer =
  | { readonly kind: 'login'; readonly group: string; readonly identity: ClientIdentity }
  | { readonly kind: 'phone'; readonly identity: ClientIdentity }
  | {
      readonly kind: 'reply';
      readonly reply: HttpReply /** Why the connection ends with it. */;
      readonly failure: string | null;
    };

/** Other processes, as far as pages need them. */
export interface PageServices extends KdcProxyServices {
  readonly secmod: Pick<SecmodCalls, 'isGoodCookie' | 'askKdc'>;
}

export class Pages {
  readonly #vhost: Vhost;
  readonly #camouflage: Camouflage;
  readonly #headers: readonly Header[];
  readonly #services: PageServices;

  constructor(vhost: Vhost, services: PageServices) {
    this.#vhost = vhost;
    this.#camouflage = new Camouflage(vhost.options);
    this.#headers = parseHeaders(vhost.options['included-http-headers']);
    this.#services = services;
  }

  /** What becomes of a GET or POST. `authenticating`: a login is in progress. */
  async answer(request: HttpRequest, authenticating: boolean): Promise<Answer> {
    const url = this.#camouflage.look(request.url);
    if (!(await this.mayLook(request))) {
      return refusal(this.#camouflage.refusal(), 'the camouflage secret is missing');
    }
    const kdc = kdcPath(this.#vhost, request.method, url);
    if (kdc !== '')
      return { kind: 'reply', ...(await askKdc(this.#vhost, kdc, request.body, this.#services)) };
    return this.#answerTo(route(request.method, url, authenticating), request);
  }

  /**
   * Whether the client may see what is here. Until it may, each of its requests asks for a cookie, also one without a
   * good one: strangers learn nothing by the time that the refusal takes.
   */
  async mayLook(request: HttpRequest): Promise<boolean> {
    const camouflage = this.#camouflage;
    if (!camouflage.passed && (await this.#isGood(cookieOf(request) ?? NO_COOKIE))) camouflage.pass();
    return camouflage.passed;
  }

  async #answerTo(target: Route, request: HttpRequest): Promise<Answer> {
    const identity = clientIdentity(request.headers);
    switch (target.kind) {
      case 'stub':
        return { kind: 'reply', reply: target.reply, failure: null };
      case 'auth':
        return { kind: 'login', group: target.group, identity };
      case 'profile':
        return this.#profile(request);
      case 'phone':
        return this.#phone(request, identity);
      default:
        return noSuchPage(request);
    }
  }

  async #profile(request: HttpRequest): Promise<Answer> {
    const { profile } = this.#vhost;
    if (!profile || !(await this.#hasSession(request))) return noSuchPage(request);
    return { kind: 'reply', reply: page('text/xml', profile.content), failure: null };
  }

  #phone(request: HttpRequest, identity: ClientIdentity): Answer {
    if (!this.#vhost.options['cisco-svc-client-compat'] || identity.agent.name !== 'IPPHONE') {
      return refusal(notFound(), '/svc is for IP phones and needs the option cisco-svc-client-compat');
    }
    return request.method === 'GET'
      ? { kind: 'reply', reply: phoneHello(), failure: null }
      : { kind: 'phone', identity };
  }

  async #hasSession(request: HttpRequest): Promise<boolean> {
    const cookie = cookieOf(request);
    return cookie !== null && (await this.#isGood(cookie));
  }

  #isGood(cookie: Uint8Array): Promise<boolean> {
    return this.#services.secmod.isGoodCookie(this.#vhost.name, cookie);
  }

  /** A reply as it is sent: 200 with the administrator's headers. */
  finish(reply: HttpReply): HttpReply {
    return reply.status === 200 ? { ...reply, headers: [...reply.headers, ...this.#headers] } : reply;
  }

  /** A refusal of CONNECT as it is sent. */
  connectRefusal(reply: HttpReply): HttpReply {
    return this.#camouflage.connectRefusal(reply);
  }
}

/** SIDs are random: nobody has this one. */
const NO_COOKIE = new Uint8Array(32);

function cookieOf({ headers }: HttpRequest): Uint8Array | null {
  const { webvpn, webvpncontext } = parseCookies(header(headers, 'Cookie'));
  return webvpn ?? webvpncontext;
}

const refusal = (reply: HttpReply, failure: string): Answer => ({ kind: 'reply', reply, failure });

/** A page that is not there, with a reason for the log. */
export function noSuchPage({ method, url }: HttpRequest): Answer & { readonly kind: 'reply' } {
  const failure = `no such page: ${JSON.stringify(`${method} ${url}`)}`;
  return { kind: 'reply', reply: notFound(), failure };
}
