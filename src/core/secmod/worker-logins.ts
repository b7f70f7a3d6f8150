/**
 * The logins of one worker, by its clients. What a worker claims is checked before a login begins: the origin by
 * its HMAC, the virtual host, and the number of logins against what the worker can serve.
 */
import type { KeyObject } from 'node:crypto';
import type { Body } from '../ipc/messages.js';
import { workerHmacMatches } from '../ipc/worker-hmac.js';
import { ClientCertificates } from './client-certificates.js';
import { FAILED, LoginAttempt, type LoginDeps, type LoginRequest } from './login-attempt.js';
import type { LoginState } from './secmod-login.machine.js';
import type { Vhost } from './vhosts.js';
import { asksForName } from './ways.js';

type Reply = Body<'SEC_AUTH_REPLY'>;

export interface WorkerLoginsDeps extends LoginDeps {
  readonly vhost: (name: string) => Vhost | undefined;
  /** Key of SECM_STARTUP, null before. */
  readonly hmacKey: () => KeyObject | null;
}

/** Main and secmod read the same clock; this allows for the rounding to seconds. */
const MAX_CLOCK_LEAD_SEC = 2;

export class WorkerLogins {
  readonly certificates: ClientCertificates;
  readonly #deps: WorkerLoginsDeps;
  readonly #capacity: number;
  /** In the order of their beginning. */
  readonly #logins = new Map<number, LoginAttempt>();

  /** `capacity`: logins remembered at once; the oldest gives way. */
  constructor(deps: WorkerLoginsDeps, capacity: number) {
    this.#deps = deps;
    this.#capacity = capacity;
    this.certificates = new ClientCertificates(capacity, deps.log);
  }

  /** For the `when` check of the channel. A login that was refused before it began has left no state. */
  stateOf(client: number): LoginState {
    return this.#logins.get(client)?.state ?? 'NONE';
  }

  /** SEC_AUTH_INIT. */
  async init(body: Body<'SEC_AUTH_INIT'>): Promise<Reply> {
    const request = this.#check(body);
    if (typeof request === 'string') {
      const { client, userName: user, origRemoteIp: ip } = body;
      this.#deps.log.warn({ client, user, ip, reason: request }, 'login refused');
      return FAILED;
    }
    const previous = this.#logins.get(body.client);
    const login = new LoginAttempt(this.#deps, request);
    this.#logins.delete(body.client);
    this.#logins.set(body.client, login);
    const reply = login.begin();
    await previous?.abandon();
    await this.#makeRoom();
    return reply;
  }

  /** SEC_AUTH_CONT. The password is wiped when the back end has seen it. */
  async cont({ client, sid, password }: Body<'SEC_AUTH_CONT'>): Promise<Reply> {
    try {
      return (await this.#logins.get(client)?.answer(sid, password)) ?? FAILED;
    } finally {
      password.fill(0);
    }
  }

  /** SEC_AUTH_END. */
  async end(client: number): Promise<void> {
    const login = this.#logins.get(client);
    this.#logins.delete(client);
    await login?.abandon();
  }

  /** Gives up what back ends are doing for logins whose time is over. */
  expire(): void {
    for (const login of this.#logins.values()) login.expire();
  }

  /** The worker is gone. Completed logins keep their cookies. */
  async close(): Promise<void> {
    const logins = [...this.#logins.values()];
    this.#logins.clear();
    await Promise.all(logins.map((login) => login.abandon()));
  }

  async #makeRoom(): Promise<void> {
    for (const [client, login] of this.#logins) {
      if (this.#logins.size <= this.#capacity) return;
      this.#logins.delete(client);
      await login.abandon();
    }
  }

  /** The login, or why it is refused. */
  #check(body: Body<'SEC_AUTH_INIT'>): LoginRequest | string {
    const key = this.#deps.hmacKey();
    if (!key) return 'no main process has given a key yet';
    if (!workerHmacMatches(key, body, body.hmac)) return 'the HMAC does not match the origin';
    const vhost = this.#deps.vhost(body.vhost);
    if (!vhost) return 'unknown virtual host';
    const ageSec = Math.floor(this.#deps.nowMs() / 1000) - body.sessionStartTime;
    if (ageSec >= vhost.config['auth-timeout'] || ageSec < -MAX_CLOCK_LEAD_SEC)
      return 'the HMAC is out of date';
    // Only a PROXY header could make the two differ, and none is accepted.
    if (body.remoteIp !== body.origRemoteIp) return 'the address is not that of the connection';
    const way = vhost.ways[body.way];
    if (!way) return 'the virtual host has no such way to log in';
    if (body.userName === '' && asksForName(way)) return 'no user name';
    return { init: body, vhost, way, certificate: this.certificates.of(body.client, vhost) };
  }
}
