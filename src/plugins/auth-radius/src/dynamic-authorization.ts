/**
 * Disconnect- and CoA-Requests of the RADIUS servers (RFC 5176). A request counts when it comes from the address of a
 * configured server and its digest proves that server's secret; anything else is dropped without an answer. A CoA-Request
 * changes times and rates; what it may not change is refused as a whole.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { AccountedSession, AccountingHost, SessionSettings } from '../../../core/plugin-api/index.js';
import { limitsOf } from './authorization.js';
import { type AttributeName, type AttributeSpec, codes, dictionary } from './dictionary.js';
import { isRequestGenuine, messageAuthenticator, sealReply } from './digest.js';
import { type Attribute, integerOf, type Packet, parsePacket, rawValues, textsOf } from './packet.js';
import type { ServerAddress } from './radcli-conf.js';

/** Error-Cause (RFC 5176 §3.5). */
const cause = {
  unsupportedAttribute: 401,
  missingAttribute: 402,
  nasMismatch: 403,
  invalidValue: 407,
  noSuchSession: 503,
} as const;

/** Age of an Event-Timestamp: a recorded request cannot be played back later. */
const MAX_AGE_SEC = 300;
/** Replies that are remembered for requests that come again. */
const MAX_REMEMBERED = 256;

/** How a request names sessions; all that are given must fit. */
const SELECTORS: readonly (readonly [AttributeName, keyof AccountedSession])[] = [
  ['User-Name', 'userName'],
  ['Acct-Session-Id', 'sessionId'],
  ['Framed-IP-Address', 'ipv4'],
  ['Framed-IPv6-Address', 'ipv6'],
  ['Calling-Station-Id', 'remoteIp'],
];
/** What a CoA-Request may change: limitsOf. */
const CHANGES: readonly AttributeName[] = [
  'Session-Timeout',
  'Idle-Timeout',
  'Acct-Interim-Interval',
  'RP-Upstream-Speed-Limit',
  'RP-Downstream-Speed-Limit',
];
const OTHERS: readonly AttributeName[] = [
  'NAS-Identifier',
  'NAS-IP-Address',
  'NAS-IPv6-Address',
  'Event-Timestamp',
  'Message-Authenticator',
  'Proxy-State',
];

export interface DynamicAuthorizationOptions {
  readonly port: number;
  readonly bindAddress: string | null;
  /** Who may ask. */
  readonly servers: readonly ServerAddress[];
  readonly nasIdentifier: string;
  readonly host: AccountingHost;
  /** Seconds since the epoch. */
  readonly now: () => number;
}

/** Listens until the returned function is called. Rejects when the port cannot be had. */
export async function listenForRequests(options: DynamicAuthorizationOptions): Promise<() => void> {
  const secrets = new Map<string, Uint8Array>();
  for (const { host, secret } of options.servers) secrets.set((await lookup(host)).address, secret);
  const address =
    options.bindAddress ?? ([...secrets.keys()].some((each) => each.includes(':')) ? '::' : '0.0.0.0');
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const listener = new Listener(options, secrets, socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(options.port, address, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  socket.on('error', (error) =>
    options.host.log.error({ err: error }, 'listener for requests of RADIUS servers'),
  );
  socket.on('message', (datagram, from) => void listener.receive(datagram, from));
  return () => socket.close();
}

type Matches = (session: AccountedSession) => boolean;

class Listener {
  readonly #options: DynamicAuthorizationOptions;
  readonly #secrets: ReadonlyMap<string, Uint8Array>;
  readonly #socket: Socket;
  /** By sender, identifier and authenticator; oldest first. */
  readonly #replies = new Map<string, Promise<Buffer>>();

  constructor(
    options: DynamicAuthorizationOptions,
    secrets: ReadonlyMap<string, Uint8Array>,
    socket: Socket,
  ) {
    this.#options = options;
    this.#secrets = secrets;
    this.#socket = socket;
  }

  async receive(datagram: Buffer, from: RemoteInfo): Promise<void> {
    const { log } = this.#options.host;
    try {
      const secret = this.#secrets.get(from.address.replace(/^::ffff:/, ''));
      if (!secret) throw new RangeError('the sender is no configured server');
      const request = parsePacket(datagram);
      this.#verify(request, secret);
      const reply = await this.#replyOnce(request, secret, `${from.address} ${from.port}`);
      this.#socket.send(reply, from.port, from.address);
    } catch (error) {
      log.warn(
        { from: from.address, reason: (error as Error).message },
        "a request that is not a RADIUS server's was dropped",
      );
    }
  }

  #verify(request: Packet, secret: Uint8Array): void {
    if (request.code !== codes.disconnectRequest && request.code !== codes.coaRequest)
      throw new RangeError(`a packet of code ${request.code}`);
    if (!isRequestGenuine(request, secret)) throw new RangeError('the authenticator is wrong');
    if (messageAuthenticator(request, null, secret) === 'wrong')
      throw new RangeError('the Message-Authenticator is wrong');
    const made = integerOf(request, 'Event-Timestamp');
    if (made !== undefined && Math.abs(this.#options.now() - made) > MAX_AGE_SEC)
      throw new RangeError('it is too old, or the clocks differ');
  }

  /** A request that was sent again gets the same answer, and ends nothing twice. */
  #replyOnce(request: Packet, secret: Uint8Array, sender: string): Promise<Buffer> {
    const key = `${sender} ${request.id} ${Buffer.from(request.authenticator).toString('hex')}`;
    const known = this.#replies.get(key);
    if (known) return known;
    const reply = this.#answer(request).then((error) => seal(request, error, secret));
    this.#replies.set(key, reply);
    const [oldest] = this.#replies.keys();
    if (this.#replies.size > MAX_REMEMBERED && oldest !== undefined) this.#replies.delete(oldest);
    return reply;
  }

  /** Error-Cause; null: done. */
  async #answer(request: Packet): Promise<number | null> {
    const { nasIdentifier } = this.#options;
    const isChange = request.code === codes.coaRequest;
    const allowed = [...SELECTORS.map(([name]) => name), ...OTHERS, ...(isChange ? CHANGES : [])];
    if (!hasOnly(request, allowed)) return cause.unsupportedAttribute;
    if (textsOf(request, 'NAS-Identifier').some((name) => name !== nasIdentifier)) return cause.nasMismatch;
    const wanted = SELECTORS.flatMap(([name, field]) =>
      textsOf(request, name).map((value) => [field, value] as const),
    );
    if (wanted.length === 0) return cause.missingAttribute;
    const matches = (session: AccountedSession): boolean =>
      wanted.every(([field, value]) => session[field] === value);
    const about = Object.fromEntries(wanted);
    return isChange ? this.#change(request, matches, about) : this.#end(matches, about);
  }

  async #end(matches: Matches, about: object): Promise<number | null> {
    const { host } = this.#options;
    const ended = await host.endSessions(matches);
    host.log.info({ ...about, ended }, 'Disconnect-Request of a RADIUS server');
    return ended === 0 ? cause.noSuchSession : null;
  }

  async #change(request: Packet, matches: Matches, about: object): Promise<number | null> {
    const { host } = this.#options;
    const change = changeOf(request);
    if (typeof change === 'number') return change;
    const changed = await host.changeSessions(matches, change);
    host.log.info({ ...about, ...change, changed }, 'CoA-Request of a RADIUS server');
    return changed === 0 ? cause.noSuchSession : null;
  }
}

/** Or the Error-Cause. */
function changeOf(request: Packet): SessionSettings | number {
  try {
    const change = limitsOf(request);
    return Object.keys(change).length === 0 ? cause.missingAttribute : change;
  } catch (error) {
    if (error instanceof RangeError) return cause.invalidValue;
    throw error;
  }
}

function hasOnly({ attributes }: Packet, names: readonly AttributeName[]): boolean {
  const specs = names.map((name): AttributeSpec => dictionary[name]);
  return attributes.every(({ code, vendor }) =>
    specs.some((spec) => spec.code === code && (spec.vendor ?? 0) === vendor),
  );
}

function seal(request: Packet, error: number | null, secret: Uint8Array): Buffer {
  const [ack, nak] =
    request.code === codes.coaRequest
      ? [codes.coaAck, codes.coaNak]
      : [codes.disconnectAck, codes.disconnectNak];
  const proxied = rawValues(request, 'Proxy-State').map((value): Attribute => ['Proxy-State', value]);
  const why: Attribute[] = error === null ? [] : [['Error-Cause', error]];
  return sealReply(error === null ? ack : nak, request, [...why, ...proxied], secret);
}
