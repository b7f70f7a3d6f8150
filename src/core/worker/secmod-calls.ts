/** What one client asks of secmod. Secrets are wiped here as soon as they are sent. */
import type { Body } from '../ipc/messages.js';
import type { ClientIdentity } from '../wire/connect-request.js';
import type { KdcProxyMessage } from '../wire/kkdcp.js';
import type { SecmodLink } from './secmod-link.js';

export type Startup = Body<'WORKER_STARTUP'>;
type AuthReply = Body<'SEC_AUTH_REPLY'>;

/** Certificate authentication is not offered, so no certificate ever vouches for a client. */
const NO_CERTIFICATE = { tlsAuthOk: false, certUserName: '', certGroupNames: [] };

/** secmod gives up a KDC before that. */
const KDC_MS = 30_000;

export class SecmodCalls {
  readonly #link: SecmodLink;
  readonly #startup: Startup;

  constructor(link: SecmodLink, startup: Startup) {
    this.#link = link;
    this.#startup = startup;
  }

  /** Signature of a TLS handshake message; null: refused. */
  async sign(request: Body<'SEC_SIGN_DATA'>): Promise<Uint8Array | null> {
    const channel = await this.#link.channel();
    return (await channel.call('SEC_SIGN_DATA', request)).body.signature;
  }

  /** Whether CONNECT with this cookie would be allowed. */
  async isGoodCookie(vhost: string, cookie: Uint8Array): Promise<boolean> {
    const channel = await this.#link.channel();
    return (await channel.call('SEC_CHECK_COOKIE', { vhost, cookie: Uint8Array.from(cookie) })).body.valid;
  }

  /** A client's question to a KDC, and the answer. */
  async askKdc(
    vhost: string,
    path: string,
    { realm, message }: KdcProxyMessage,
  ): Promise<Body<'SEC_KDC_REPLY'>> {
    const channel = await this.#link.channel();
    const body = { vhost, path, realm, message: Uint8Array.from(message) };
    return (await channel.call('SEC_KDC_REQUEST', body, { timeoutMs: KDC_MS })).body;
  }

  /** Starts a login. */
  async authInit(
    vhost: string,
    userName: string,
    groupName: string,
    identity: ClientIdentity,
  ): Promise<AuthReply> {
    const { client, remoteIp, ourIp, origRemoteIp, sessionStartTime, hmac } = this.#startup;
    const { userAgent, devicePlatform, deviceType } = identity;
    const origin = { remoteIp, ourIp, origRemoteIp, sessionStartTime, hmac };
    const device = { userAgent, devicePlatform, deviceType };
    const channel = await this.#link.channel();
    const login = { client, vhost, userName, groupName, ...NO_CERTIFICATE, ...origin, ...device };
    return withOwnSid((await channel.call('SEC_AUTH_INIT', login)).body);
  }

  /** The next password; it is zeroed. */
  async authCont(sid: Uint8Array, password: Uint8Array): Promise<AuthReply> {
    try {
      const channel = await this.#link.channel();
      const body = { client: this.#startup.client, sid: Uint8Array.from(sid), password };
      return withOwnSid((await channel.call('SEC_AUTH_CONT', body)).body);
    } finally {
      password.fill(0);
    }
  }
}

/** The channel wipes secrets of a message after it was handled; the login keeps its own copy. */
function withOwnSid(body: AuthReply): AuthReply {
  return { ...body, sid: body.sid && Uint8Array.from(body.sid) };
}
