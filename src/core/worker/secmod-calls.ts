/** What one client asks of secmod. Secrets are wiped here as soon as they are sent. */
import type { Body } from '../ipc/messages.js';
import type { ClientIdentity } from '../wire/connect-request.js';
import type { KdcProxyMessage } from '../wire/kkdcp.js';
import { messageOf } from './detail.js';
import type { SecmodLink } from './secmod-link.js';
import type { Vhost } from './vhosts.js';

export type Startup = Body<'WORKER_STARTUP'>;
type AuthReply = Body<'SEC_AUTH_REPLY'>;

/** What the TLS of a connection asks for. */
export interface SignRequest {
  readonly requestId: number;
  readonly keyIndex: number;
  readonly scheme: number;
  readonly data: Buffer;
}

/** secmod gives up a KDC before that. */
const KDC_MS = 30_000;

export class SecmodCalls {
  readonly #link: SecmodLink;
  readonly #startup: Startup;
  /** secmod has a login of this client that is not decided. */
  #undecided = false;

  constructor(link: SecmodLink, startup: Startup) {
    this.#link = link;
    this.#startup = startup;
  }

  /** Signature of a TLS handshake message; null: there is none, and `complain` was told why. Never rejects. */
  async signature(
    { name: vhost, certificates }: Pick<Vhost, 'name' | 'certificates'>,
    { keyIndex, scheme, data }: SignRequest,
    complain: (why: string) => void,
  ): Promise<Uint8Array | null> {
    try {
      const certificate = certificates[keyIndex]?.sha256 ?? Buffer.alloc(0);
      const channel = await this.#link.channel();
      const { body } = await channel.call('SEC_SIGN_DATA', { vhost, certificate, scheme, data });
      if (!body.signature) complain('secmod refused to sign the TLS handshake');
      return body.signature;
    } catch (error) {
      complain(`secmod did not sign the TLS handshake: ${messageOf(error)}`);
      return null;
    }
  }

  /** Whether CONNECT with this cookie would be allowed. */
  async isGoodCookie(vhost: string, cookie: Uint8Array): Promise<boolean> {
    const channel = await this.#link.channel();
    return (await channel.call('SEC_CHECK_COOKIE', { vhost, cookie: Uint8Array.from(cookie) })).body.valid;
  }

  /** Shows the certificate of this client, by its TLS handshake. */
  async showCertificate(vhost: string, handshake: Uint8Array): Promise<Body<'SEC_CLIENT_CERT_REP'>> {
    const channel = await this.#link.channel();
    const body = { client: this.#startup.client, vhost, handshake };
    return (await channel.call('SEC_CLIENT_CERT', body)).body;
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

  /** Starts a login. Back ends may take as long as the login has; so `timeoutMs`, here and in authCont. */
  async authInit(
    vhost: string,
    { userName, groupName, way }: Pick<Body<'SEC_AUTH_INIT'>, 'userName' | 'groupName' | 'way'>,
    identity: ClientIdentity,
    timeoutMs: number,
  ): Promise<AuthReply> {
    const { client, remoteIp, ourIp, origRemoteIp, sessionStartTime, hmac } = this.#startup;
    const { userAgent, devicePlatform, deviceType } = identity;
    const origin = { remoteIp, ourIp, origRemoteIp, sessionStartTime, hmac };
    const device = { userAgent, devicePlatform, deviceType };
    this.#undecided = true;
    const channel = await this.#link.channel();
    const login = { client, vhost, userName, groupName, way, ...origin, ...device };
    return this.#decide((await channel.call('SEC_AUTH_INIT', login, { timeoutMs })).body);
  }

  /** The next password; it is zeroed. */
  async authCont(sid: Uint8Array, password: Uint8Array, timeoutMs: number): Promise<AuthReply> {
    try {
      const channel = await this.#link.channel();
      const body = { client: this.#startup.client, sid: Uint8Array.from(sid), password };
      return this.#decide((await channel.call('SEC_AUTH_CONT', body, { timeoutMs })).body);
    } finally {
      password.fill(0);
    }
  }

  /** The client has left: a login that is not decided is given up. */
  endLogin(): void {
    if (this.#undecided) void this.#link.send('SEC_AUTH_END', { client: this.#startup.client });
    this.#undecided = false;
  }

  /** The channel wipes secrets of a message after it was handled; the login keeps its own copy. */
  #decide(body: AuthReply): AuthReply {
    this.#undecided = body.reply === 'MSG';
    return { ...body, sid: body.sid && Uint8Array.from(body.sid) };
  }
}
