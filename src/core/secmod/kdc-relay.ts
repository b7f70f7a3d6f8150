/**
 * Asks the KDCs of `kkdcp` for clients that cannot reach them. Workers may open no sockets, so it is done here: a worker
 * names a path of its virtual host, and only the configured KDC of that path is ever connected to.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { type KdcRoute, parseKkdcp } from '../config/kkdcp.js';
import type { VhostConfig } from '../config/schema.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';

type Request = Body<'SEC_KDC_REQUEST'>;
type Reply = Body<'SEC_KDC_REPLY'>;

/** Reference protocol.md §4.10. */
const REPLY_MS = 20_000;
/** UDP loses; clients of Kerberos ask again after about this time, too. */
const RESEND_MS = 2_000;
/** Questions of all workers at once. */
const MAX_AT_ONCE = 128;
/** SEC_KDC_REPLY carries so many bytes. */
const MAX_REPLY_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

export class KdcRelay {
  readonly #log: Logger;
  readonly #open = new AbortController();
  readonly #replyMs: number;
  #atOnce = 0;

  /** `replyMs`: how long a KDC may take. */
  constructor(log: Logger, replyMs = REPLY_MS) {
    this.#log = log;
    this.#replyMs = replyMs;
  }

  /** SEC_KDC_REQUEST. `vhost`: the one that it names. */
  async ask(vhost: VhostConfig | undefined, { path, realm, message }: Request): Promise<Reply> {
    const route = routeFor(vhost, path, realm);
    if (!route) return refusal('no KDC for this realm');
    if (this.#atOnce >= MAX_AT_ONCE) return refusal('too many requests');
    this.#atOnce++;
    try {
      const signal = AbortSignal.any([this.#open.signal, AbortSignal.timeout(this.#replyMs)]);
      const exchange = route.protocol === 'udp' ? overUdp : overTcp;
      return { reply: await exchange(route, message, signal), reason: '' };
    } catch (error) {
      const { host, port, protocol } = route;
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.warn(
        { vhost: vhost?.name, realm: route.realm, host, port, protocol, reason },
        'KDC not reached',
      );
      return refusal('the KDC does not answer');
    } finally {
      this.#atOnce--;
    }
  }

  /** Gives up what is pending. */
  close(): void {
    this.#open.abort(new Error('the server stops'));
  }
}

const refusal = (reason: string): Reply => ({ reply: null, reason });

/** Of several realms on one path the one that the client names; the only one serves whatever it names. */
function routeFor(vhost: VhostConfig | undefined, path: string, realm: string): KdcRoute | undefined {
  const routes = (vhost?.kkdcp ?? []).map(parseKkdcp).filter((route) => route?.path === path);
  if (routes.length <= 1) return routes[0] ?? undefined;
  return routes.find((route) => route?.realm.toLowerCase() === realm.toLowerCase()) ?? undefined;
}

/** One message each way, with its length in front. */
function overTcp({ host, port }: KdcRoute, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const socket = connect({ host, port });
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(message.length);
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.length < LENGTH_BYTES) return;
    const expected = received.readUInt32BE(0);
    if (expected > MAX_REPLY_BYTES) reject(new Error(`the reply has ${expected} bytes`));
    else if (received.length >= LENGTH_BYTES + expected)
      resolve(received.subarray(LENGTH_BYTES, LENGTH_BYTES + expected));
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the connection was closed')));
  socket.write(Buffer.concat([length, message]));
  return untilAborted(promise, reject, signal).finally(() => socket.destroy());
}

/** One datagram each way. */
function overUdp({ host, port }: KdcRoute, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const send = (): void =>
    socket.send(message, (error) => {
      if (error) reject(error);
    });
  let resend: NodeJS.Timeout | undefined;
  socket.on('message', (reply) => resolve(reply));
  socket.on('error', reject);
  // Connected: datagrams of others are not received, and a closed port is an error.
  socket.connect(port, host, () => {
    send();
    resend = setInterval(send, RESEND_MS);
  });
  return untilAborted(promise, reject, signal).finally(() => {
    clearInterval(resend);
    socket.close();
  });
}

async function untilAborted<T>(
  promise: Promise<T>,
  reject: (error: Error) => void,
  signal: AbortSignal,
): Promise<T> {
  const abort = (): void => reject(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
