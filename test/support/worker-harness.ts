/**
 * A real Worker with real TLS on loopback; main and secmod are played by the test through the real codec, and the
 * data plane is replaced by one that only answers CONNECT, so that no tun device is needed.
 */
import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { expect } from 'vitest';
import { options as schema } from '../../src/core/config/schema.js';
import { workerOptionNames } from '../../src/core/config/worker-config.js';
import type { Channel, ChannelOptions, Handlers } from '../../src/core/ipc/api.js';
import { joinChannels } from '../../src/core/ipc/memory-channel.js';
import type { Body } from '../../src/core/ipc/messages.js';
import { native } from '../../src/core/native/index.js';
import { acceptTlsDuplex } from '../../src/core/native/tls-duplex.js';
import { READABLE } from '../../src/core/native/types.js';
import { SecmodLink } from '../../src/core/worker/secmod-link.js';
import { Worker } from '../../src/core/worker/worker.js';
import { identityOf } from './descriptors.js';
import { FakeDataplane } from './fake-dataplane.js';
import { FakeLogins, type Login, signature } from './fake-secmod.js';
import { aSession } from './session.js';

export interface Identity {
  readonly certificate: Buffer;
  readonly key: KeyObject;
}

/** A self-signed certificate. */
export function makeIdentity(kind: 'ec' | 'rsa'): Identity {
  const dir = mkdtempSync(join(tmpdir(), 'worker-test-'));
  const algorithm = kind === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['rsa:2048'];
  const files = ['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')];
  const request = [
    'req',
    '-x509',
    '-newkey',
    ...algorithm,
    '-nodes',
    ...files,
    '-subj',
    '/CN=vpn.test',
    '-days',
    '2',
  ];
  execFileSync('openssl', request, { stdio: 'ignore' });
  const identity = {
    certificate: readFileSync(join(dir, 'cert.pem')),
    key: createPrivateKey(readFileSync(join(dir, 'key.pem'))),
  };
  rmSync(dir, { recursive: true });
  return identity;
}

export interface HarnessOptions {
  readonly identity: Identity;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly logins?: Readonly<Record<string, Login>>;
  readonly session?: Parameters<typeof aSession>;
  /** What secmod tells of the virtual host. */
  readonly groups?: readonly string[];
  readonly profile?: { readonly name: string; readonly content: Uint8Array };
  /** secmod signs nothing. */
  readonly refuseToSign?: boolean;
}

/** The one cookie that secmod knows has 32 of these. */
export const GOOD_COOKIE_BYTE = 0xab;

export interface Received {
  readonly name: string;
  readonly body: Record<string, unknown>;
}

export class WorkerHarness {
  readonly worker: Worker;
  readonly toMain: Received[] = [];
  readonly toSecmod: Received[] = [];
  /** Log lines of level info and above. */
  readonly log: { level: number; msg: string; client?: number; ip?: string }[] = [];
  /** How main answers AUTH_COOKIE_REQ. */
  cookieReply: 'OK' | 'FAILED' = 'OK';
  /** What main answers to WORKER_RESUME. */
  resumeReply: 'OK' | 'FAILED' = 'OK';
  /** What secmod answers to SEC_KDC_REQUEST. */
  kdcReply: Body<'SEC_KDC_REPLY'> = { reply: null, reason: 'no KDC' };
  /** What main answers to BAN_IP. */
  banAllowed = true;
  /** Identities of the tun descriptors that were sent. */
  readonly tuns: string[] = [];
  port = 0;
  dataplane!: FakeDataplane;
  main!: Channel<'main', 'worker'>;
  readonly #options: HarnessOptions;
  readonly #state = new Map<number, string>();
  readonly #waiters: { what: () => boolean; resolve: () => void }[] = [];
  #listener: { fd: number; close(): void } | null = null;
  #nextClient = 1;

  constructor(options: HarnessOptions) {
    this.#options = options;
    const lines = new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        this.log.push(JSON.parse(chunk.toString()));
        this.#check();
        callback();
      },
    });
    const log = pino({ level: 'info' }, lines);
    this.worker = new Worker({
      lockDown: () => undefined,
      native: {
        ...native,
        io: { ...native.io, tcpPathMtu: () => 1500 },
        createDataplane: (onEvent, processes) => {
          this.dataplane = new FakeDataplane(onEvent, processes);
          return this.dataplane;
        },
      },
      secmod: new SecmodLink(async (_path, workerEnd) => this.#joinSecmod(workerEnd), log, 0),
      log,
      openStream: (vhosts, fd, _startup, handlers) => acceptTlsDuplex(vhosts.default.context, fd, handlers),
      connectMain: async (workerEnd) => this.#joinMain(workerEnd),
      fd: null,
      now: Date.now,
      random: () => 0.5,
    });
  }

  /** Starts the worker and a listener on 127.0.0.1 whose connections it gets. */
  async start(): Promise<this> {
    await this.worker.start();
    this.main.send('WORKER_CONFIG', { json: JSON.stringify(this.#config()), secmodPath: '/secmod' });
    await this.until(() => this.received('WORKER_READY').length > 0);
    this.port = await freePort();
    const fd = native.io.listenTcp('127.0.0.1', this.port, 16);
    const poller = native.io.createPoller(fd, () => this.#acceptAll(fd));
    poller.set(READABLE);
    this.#listener = {
      fd,
      close: () => {
        poller.close();
        native.io.close(fd);
      },
    };
    return this;
  }

  stop(): void {
    this.#listener?.close();
    this.#listener = null;
    this.worker.stop();
  }

  /** Bodies of all messages of this name that the worker sent. */
  received(name: string): Record<string, unknown>[] {
    return [...this.toMain, ...this.toSecmod]
      .filter((message) => message.name === name)
      .map(({ body }) => body);
  }

  /** What main is told of the one connection that fails, which is all that is said about it. */
  async failure(): Promise<string> {
    await this.until(() => this.received('CLIENT_CLOSED').length > 0);
    expect(this.received('CLIENT_CLOSED')).toEqual([
      expect.objectContaining({ client: 1, reason: 'error', detail: expect.any(String) }),
    ]);
    expect(this.log).toEqual([]);
    return String(this.received('CLIENT_CLOSED')[0]?.detail);
  }

  /** Resolves as soon as `what` holds; it is asked whenever a message or a log line has come. */
  until(what: () => boolean): Promise<void> {
    if (what()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ what, resolve }));
  }

  #check(): void {
    for (const waiter of [...this.#waiters]) {
      if (!waiter.what()) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve();
    }
  }

  #config() {
    const defaults = workerOptionNames.map((name) => [name, schema[name].default]);
    return {
      uid: null,
      gid: null,
      vhosts: [
        { name: 'default', ...Object.fromEntries(defaults), auth: ['plain'], ...this.#options.options },
      ],
    };
  }

  #acceptAll(listener: number): void {
    for (let accepted = native.io.accept(listener); accepted; accepted = native.io.accept(listener)) {
      const { fd, remote, local } = accepted;
      const body = {
        client: this.#nextClient++,
        remoteIp: remote.address,
        remotePort: remote.port,
        ourIp: local.address,
        ourPort: local.port,
        origRemoteIp: remote.address,
        sessionStartTime: 1_700_000_000,
        hmac: new Uint8Array(32),
        ticketKeys: new Uint8Array(),
        ticketLifetime: 0,
      };
      this.main.send('WORKER_STARTUP', body, [fd]);
    }
  }

  #record(list: Received[], name: string, body: object): void {
    // Secrets are wiped after the handler: keep a copy.
    list.push({ name, body: structuredClone(body) as Record<string, unknown> });
    queueMicrotask(() => this.#check());
  }

  // ---------------------------------------------------------------- main

  #joinMain(workerEnd: ChannelOptions<'worker', 'main'>): Channel<'worker', 'main'> {
    const note = (name: string) => (body: object) => this.#record(this.toMain, name, body);
    const handlers: Handlers<'main', 'worker'> = {
      WORKER_READY: note('WORKER_READY'),
      WORKER_ADOPT: note('WORKER_ADOPT'),
      WORKER_RESUME: (body) => {
        this.#record(this.toMain, 'WORKER_RESUME', body);
        const reply = this.resumeReply;
        return { reply, reason: '' };
      },
      AUTH_COOKIE_REQ: (body) => this.#answerCookie(body),
      SESSION_INFO: note('SESSION_INFO'),
      HANDSHAKE: note('HANDSHAKE'),
      TUN_MTU: note('TUN_MTU'),
      CLI_STATS: note('CLI_STATS'),
      BAN_IP: (body) => {
        this.#record(this.toMain, 'BAN_IP', body);
        return { allowed: this.banAllowed };
      },
      WORKER_FULL: note('WORKER_FULL'),
      CLIENT_CLOSED: note('CLIENT_CLOSED'),
    };
    const mainEnd: ChannelOptions<'main', 'worker'> = {
      self: 'main',
      peer: 'worker',
      handlers,
      log: pino({ level: 'silent' }),
      stateOf: (client) => this.#state.get(client) ?? 'INACTIVE',
    };
    const [main, worker] = joinChannels<'main', 'worker'>(mainEnd, workerEnd);
    this.main = main;
    return worker;
  }

  #answerCookie(body: Body<'AUTH_COOKIE_REQ'>) {
    this.#record(this.toMain, 'AUTH_COOKIE_REQ', body);
    if (this.cookieReply === 'FAILED')
      return { reply: 'FAILED' as const, reason: 'unknown cookie', session: null };
    this.#state.set(body.client, 'COMPLETED');
    const [tun, other] = native.io.socketpair();
    native.io.close(other);
    this.tuns.push(identityOf(tun));
    const session = { ...aSession(...(this.#options.session ?? [])), sid: Uint8Array.from(body.cookie) };
    return { body: { reply: 'OK' as const, reason: '', session }, fds: [tun] };
  }

  // ---------------------------------------------------------------- secmod

  #joinSecmod(workerEnd: ChannelOptions<'worker', 'secmod'>): Channel<'worker', 'secmod'> {
    const { identity, refuseToSign } = this.#options;
    const logins = new FakeLogins(this.#options.logins ?? {});
    const handlers: Handlers<'secmod', 'worker'> = {
      SEC_GET_PK: () => ({
        chains: [identity.certificate],
        clientCa: Buffer.alloc(0),
        ocspResponse: Buffer.alloc(0),
      }),
      SEC_CLIENT_CERT: () => ({ ok: false, userName: '', groups: [], reason: 'not taken here' }),
      SEC_GET_VHOST: () => ({
        groups: [...(this.#options.groups ?? [])],
        profile: this.#options.profile ?? null,
      }),
      SEC_CHECK_COOKIE: (body) => {
        this.#record(this.toSecmod, 'SEC_CHECK_COOKIE', body);
        return { valid: body.cookie.every((byte) => byte === GOOD_COOKIE_BYTE) };
      },
      SEC_SIGN_DATA: ({ scheme, data }) => ({
        signature: refuseToSign ? null : signature(identity.key, scheme, data),
      }),
      SEC_AUTH_INIT: (body) => {
        this.#record(this.toSecmod, 'SEC_AUTH_INIT', body);
        return logins.init(body.client, body.userName);
      },
      SEC_AUTH_CONT: (body) => {
        this.#record(this.toSecmod, 'SEC_AUTH_CONT', body);
        return logins.next(body.client, Buffer.from(body.password).toString());
      },
      SEC_AUTH_END: (body) => this.#record(this.toSecmod, 'SEC_AUTH_END', body),
      SEC_KDC_REQUEST: (body) => {
        this.#record(this.toSecmod, 'SEC_KDC_REQUEST', body);
        return this.kdcReply;
      },
      SEC_CLI_STATS: (body) => this.#record(this.toSecmod, 'SEC_CLI_STATS', body),
    };
    const secmodEnd: ChannelOptions<'secmod', 'worker'> = {
      self: 'secmod',
      peer: 'worker',
      handlers,
      log: pino({ level: 'silent' }),
      stateOf: (client) => logins.state(client),
    };
    return joinChannels<'secmod', 'worker'>(secmodEnd, workerEnd)[1];
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}
