/**
 * Reads the handshake messages of a TLS connection on which the client has shown a certificate (RFC 8446 section 4,
 * RFC 5246 section 7.4): the chain, the client's signature and what it is over, and what the server has signed in the
 * same handshake. Bytes come from a worker, and through it from a client: everything is bounded by its own length.
 */
import { hash } from 'node:crypto';
import { verifyContent } from './signing.js';

export interface ShownCertificate {
  /** DER, leaf first. */
  readonly chain: readonly Buffer[];
  /** The bytes that the server's key has signed: what SEC_SIGN_DATA asked for. */
  readonly serverSigned: Buffer;
  /** The client's CertificateVerify: its SignatureScheme, its signature, and the bytes that it is over. */
  readonly scheme: number;
  readonly signature: Buffer;
  readonly clientSigned: Buffer;
  readonly tls13: boolean;
}

/** HandshakeType, RFC 8446 section 4 and RFC 5246 section 7.4. */
const TYPE = {
  clientHello: 1,
  serverHello: 2,
  encryptedExtensions: 8,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
  certificateStatus: 22,
  messageHash: 254,
} as const;

const SUPPORTED_VERSIONS = 43;
const TLS13 = 0x0304;
const TLS_AES_256_GCM_SHA384 = 0x1302;
/** Random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3). */
const RETRY_RANDOM = hash('sha256', 'HelloRetryRequest', 'buffer');
const MAX_CHAIN = 10;

interface Message {
  readonly type: number;
  /** With its header. */
  readonly bytes: Buffer;
  readonly body: Buffer;
}

/** Throws a RangeError that says what is wrong. */
export function readHandshake(handshake: Uint8Array): ShownCertificate {
  const messages = [...splitMessages(asBuffer(handshake))];
  const hello = messages.find(({ type, body }) => type === TYPE.serverHello && !isRetry(body));
  if (!hello) throw new RangeError('no ServerHello');
  const { version, suite } = readServerHello(hello.body);
  return version === TLS13 ? readTls13(messages, suite) : readTls12(messages);
}

function* splitMessages(bytes: Buffer): Generator<Message> {
  const reader = new Reader(bytes);
  while (reader.left > 0) {
    const start = reader.offset;
    const type = reader.number(1);
    const body = reader.vector(3);
    yield { type, body, bytes: bytes.subarray(start, reader.offset) };
  }
}

function readTls13(messages: readonly Message[], suite: number): ShownCertificate {
  const retried = messages[1] !== undefined && isRetry(messages[1].body);
  const { clientHello, serverHello, encryptedExtensions, certificateRequest } = TYPE;
  const { certificate, certificateVerify, finished } = TYPE;
  const flight = [encryptedExtensions, certificateRequest, certificate, certificateVerify, finished];
  const opening = retried ? [clientHello, serverHello, clientHello, serverHello] : [clientHello, serverHello];
  expectTypes(messages, [...opening, ...flight, certificate, certificateVerify]);
  const algorithm = suite === TLS_AES_256_GCM_SHA384 ? 'sha384' : 'sha256';
  const hashed = retried ? [hashedHello(messages[0], algorithm), ...messages.slice(1)] : messages;
  // The transcript to the message before each of the two CertificateVerify.
  const transcript = (count: number): Buffer =>
    hash(algorithm, Buffer.concat(hashed.slice(0, count).map(({ bytes }) => bytes)), 'buffer');
  const serverVerify = opening.length + flight.indexOf(certificateVerify);
  const shown = new Reader(at(messages, -2).body);
  if (shown.vector(1).length > 0) throw new RangeError('a certificate for another request');
  return {
    ...readVerify(at(messages, -1).body),
    chain: readChain(shown, true),
    serverSigned: verifyContent('server', transcript(serverVerify)),
    clientSigned: verifyContent('client', transcript(messages.length - 1)),
    tls13: true,
  };
}

/** After a HelloRetryRequest the first hello counts by its hash (RFC 8446 section 4.4.1). */
function hashedHello(hello: Message | undefined, algorithm: string): Pick<Message, 'bytes'> {
  const digest = hash(algorithm, hello?.bytes ?? '', 'buffer');
  return { bytes: Buffer.concat([Buffer.from([TYPE.messageHash, 0, 0, digest.length]), digest]) };
}

function readTls12(all: readonly Message[]): ShownCertificate {
  const messages = all.filter(({ type }) => type !== TYPE.certificateStatus);
  const { clientHello, serverHello, certificate, serverKeyExchange } = TYPE;
  const { certificateRequest, serverHelloDone, clientKeyExchange, certificateVerify } = TYPE;
  const flight = [certificate, serverKeyExchange, certificateRequest, serverHelloDone];
  const answer = [certificate, clientKeyExchange, certificateVerify];
  expectTypes(messages, [clientHello, serverHello, ...flight, ...answer]);
  const exchange = new Reader(at(messages, 3).body);
  // ECCurveType, NamedCurve, public point; the signature follows.
  exchange.number(3);
  exchange.vector(1);
  const params = at(messages, 3).body.subarray(0, exchange.offset);
  return {
    ...readVerify(at(messages, -1).body),
    chain: readChain(new Reader(at(messages, -3).body), false),
    serverSigned: Buffer.concat([helloRandom(at(messages, 0)), helloRandom(at(messages, 1)), params]),
    clientSigned: Buffer.concat(all.slice(0, -1).map(({ bytes }) => bytes)),
    tls13: false,
  };
}

function readServerHello(body: Buffer): { version: number; suite: number } {
  const reader = new Reader(body);
  const legacy = reader.number(2);
  reader.take(32);
  reader.vector(1);
  const suite = reader.number(2);
  reader.number(1);
  if (reader.left === 0) return { version: legacy, suite };
  const extensions = new Reader(reader.vector(2));
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const value = new Reader(extensions.vector(2));
    if (type === SUPPORTED_VERSIONS) return { version: value.number(2), suite };
  }
  return { version: legacy, suite };
}

const helloRandom = ({ body }: Message): Buffer => body.subarray(2, 34);
const isRetry = (serverHello: Buffer): boolean => serverHello.subarray(2, 34).equals(RETRY_RANDOM);

function readChain(reader: Reader, withExtensions: boolean): Buffer[] {
  const list = new Reader(reader.vector(3));
  const chain: Buffer[] = [];
  while (list.left > 0) {
    chain.push(list.vector(3));
    if (withExtensions) list.vector(2);
    if (chain.length > MAX_CHAIN) throw new RangeError(`more than ${MAX_CHAIN} certificates`);
  }
  if (chain.length === 0) throw new RangeError('no certificate');
  return chain;
}

function readVerify(body: Buffer): Pick<ShownCertificate, 'scheme' | 'signature'> {
  const reader = new Reader(body);
  return { scheme: reader.number(2), signature: reader.vector(2) };
}

function expectTypes(messages: readonly Message[], expected: readonly number[]): void {
  const types = messages.map(({ type }) => type);
  if (types.join() !== expected.join())
    throw new RangeError(`no handshake with a client certificate: ${types.join(' ')}`);
}

function at(messages: readonly Message[], index: number): Message {
  const message = messages.at(index);
  if (!message) throw new RangeError('a message is missing');
  return message;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** TLS presentation language (RFC 8446 section 3); reading beyond the end throws a RangeError. */
class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError('a handshake message is cut off');
    this.#offset += length;
    return this.#bytes.subarray(this.#offset - length, this.#offset);
  }

  /** Big endian, 1 to 4 bytes. */
  number(length: number): number {
    return this.take(length).readUIntBE(0, length);
  }

  /** A vector with its length before it. */
  vector(lengthBytes: number): Buffer {
    return this.take(this.number(lengthBytes));
  }
}
