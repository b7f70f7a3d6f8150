// A TLS server on the addon for tests: certificates made by openssl, keys in a process of their own.
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  TlsConnection,
  TlsContextOptions,
  TlsHandlers,
  TlsInfo,
  TlsServerContext,
} from '../../src/core/native/tls-types.js';
import type { NativeBinding, Poller } from '../../src/core/native/types.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export const native = createRequire(import.meta.url)(
  here('../../native/build/Release/ocvpn.node'),
) as NativeBinding;

// ---------------------------------------------------------------- certificates

const keyTypes = {
  rsa: ['rsa:2048'],
  ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ec384: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  ed25519: ['ed25519'],
} as const;
export type KeyType = keyof typeof keyTypes;

/** A CA in a temporary directory, and certificates of it. */
export class TestPki {
  readonly directory = mkdtempSync(join(tmpdir(), 'ocvpn-tls-'));

  constructor() {
    this.#selfSigned('ca', 'Test CA');
    this.#selfSigned('stranger', 'Stranger CA');
  }

  path = (name: string) => join(this.directory, name);
  read = (name: string) => readFileSync(this.path(name));

  /** Makes `<name>.key` and `<name>.crt` (leaf first, then the CA). */
  issue(name: string, type: KeyType, options: { dns?: string; days?: string[]; ca?: string } = {}): void {
    const ca = options.ca ?? 'ca';
    writeFileSync(this.path(`${name}.ext`), `subjectAltName=DNS:${options.dns ?? 'localhost'}\n`);
    this.#openssl(
      'req',
      '-newkey',
      ...keyTypes[type],
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
    );
    this.#openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      `${ca}.crt`,
      '-CAkey',
      `${ca}.key`,
      '-CAcreateserial',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.leaf`,
      ...(options.days ?? ['-days', '2']),
    );
    writeFileSync(
      this.path(`${name}.crt`),
      Buffer.concat([this.read(`${name}.leaf`), this.read(`${ca}.crt`)]),
    );
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  #selfSigned(name: string, subject: string): void {
    this.#openssl(
      'req',
      '-x509',
      '-newkey',
      ...keyTypes.ed25519,
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
      '-subj',
      `/CN=${subject}`,
      '-days',
      '3',
    );
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: 'pipe' });
  }
}

// ---------------------------------------------------------------- the key process

export class RemoteSigner {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (signature: Buffer) => void>();
  #next = 1;

  constructor(keyFiles: readonly string[]) {
    this.#child = fork(here('./native-tls.signer.ts'), keyFiles, { stdio: 'inherit' });
    this.#child.on('message', ({ id, signature }: { id: number; signature: string }) => {
      this.#waiting.get(id)?.(Buffer.from(signature, 'base64'));
      this.#waiting.delete(id);
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  sign(keyIndex: number, scheme: number, data: Buffer): Promise<Buffer> {
    const id = this.#next++;
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    this.#waiting.set(id, resolve);
    this.#child.send({ id, keyIndex, scheme, data: data.toString('base64') });
    return promise;
  }

  async close(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill();
    await exit;
  }
}

// ---------------------------------------------------------------- the server

export interface SignCall {
  requestId: number;
  vhost: string;
  keyIndex: number;
  scheme: number;
  data: Buffer;
}

/** One accepted connection and everything that its handlers were told. */
export class Accepted {
  readonly connection: TlsConnection;
  readonly signs: SignCall[] = [];
  readonly received: Buffer[] = [];
  readonly #secure = Promise.withResolvers<TlsInfo>();
  readonly #signed = Promise.withResolvers<SignCall>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<{
    error: (Error & { code?: string }) | null;
    bytesRead: number;
  }>();
  closeCount = 0;
  drainCount = 0;

  constructor(context: TlsServerContext, fd: number, behaviour: Behaviour) {
    const handlers: TlsHandlers = {
      onSign: (requestId, vhost, keyIndex, scheme, data) => {
        const call = { requestId, vhost, keyIndex, scheme, data };
        this.signs.push(call);
        this.#signed.resolve(call);
        behaviour.onSign(this, call);
      },
      onSecure: (info) => {
        this.#secure.resolve(info);
        behaviour.onSecure?.(this, info);
      },
      onData: (data) => {
        this.received.push(data);
        behaviour.onData?.(this, data);
      },
      onEnd: () => {
        this.#ended.resolve();
        behaviour.onEnd?.(this);
      },
      onDrain: () => {
        this.drainCount++;
        behaviour.onDrain?.(this);
      },
      onClose: (error, bytesRead) => {
        this.closeCount++;
        this.#closed.resolve({ error, bytesRead });
      },
    };
    this.connection = native.acceptTls(context, fd, handlers);
  }

  secure = () => this.#secure.promise;
  signed = () => this.#signed.promise;
  ended = () => this.#ended.promise;
  closed = () => this.#closed.promise;
}

export interface Behaviour {
  onSign(accepted: Accepted, call: SignCall): void;
  onSecure?(accepted: Accepted, info: TlsInfo): void;
  onData?(accepted: Accepted, data: Buffer): void;
  onEnd?(accepted: Accepted): void;
  onDrain?(accepted: Accepted): void;
}

/** Signs with `signer`, echoes, ends when the peer ends. */
export function echo(signer: RemoteSigner): Behaviour {
  return {
    onSign: async (accepted, { requestId, keyIndex, scheme, data }) =>
      accepted.connection.completeSign(requestId, await signer.sign(keyIndex, scheme, data)),
    onData: (accepted, data) => void accepted.connection.write(data),
    onEnd: (accepted) => accepted.connection.end(),
  };
}

/** Port that the kernel gave to a listening socket of this process, from proc(5) net/tcp. */
function listeningPort(fd: number): number {
  const inode = /\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[0];
  const rows = readFileSync('/proc/self/net/tcp', 'utf8').trim().split('\n').slice(1);
  const row = rows.map((text) => text.trim().split(/\s+/)).find((columns) => columns[9] === inode);
  return Number.parseInt(row?.[1]?.split(':')[1] as string, 16);
}

export class TestServer {
  readonly port: number;
  readonly accepted: Accepted[] = [];
  readonly #fd: number;
  readonly #poller: Poller;
  readonly #waiting: ((accepted: Accepted) => void)[] = [];

  constructor(context: TlsServerContext, behaviour: Behaviour) {
    this.#fd = native.io.listenTcp('127.0.0.1', 0, 128);
    this.port = listeningPort(this.#fd);
    this.#poller = native.io.createPoller(this.#fd, () => {
      for (;;) {
        const socket = native.io.accept(this.#fd);
        if (socket === null) return;
        const accepted = new Accepted(context, socket.fd, behaviour);
        this.accepted.push(accepted);
        this.#waiting.shift()?.(accepted);
      }
    });
    this.#poller.set(1);
  }

  /** The next connection that arrives. */
  next(): Promise<Accepted> {
    const { promise, resolve } = Promise.withResolvers<Accepted>();
    this.#waiting.push(resolve);
    return promise;
  }

  async close(): Promise<void> {
    this.#poller.close();
    native.io.close(this.#fd);
    for (const { connection } of this.accepted) connection.destroy();
    await Promise.all(this.accepted.map((accepted) => accepted.closed()));
  }
}

/** Context options with today's defaults. */
export function contextOptions(
  chains: readonly Uint8Array[],
  more: Partial<TlsContextOptions> = {},
): TlsContextOptions {
  return {
    certificateChains: chains,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    clientCertificate: 'none',
    ...more,
  };
}
