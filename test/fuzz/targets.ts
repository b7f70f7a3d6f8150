/**
 * The parsers written in TypeScript that read what strangers, administrators and other servers send, each as a function of bytes.
 * A target returns for every input; what a parser may throw for a refusal is caught here, anything else is a finding.
 */
import { strict as assert } from 'node:assert';
import { Duplex } from 'node:stream';
import { build } from '../../src/core/config/build.js';
import { parseData } from '../../src/core/config/data-file.js';
import { parseConf } from '../../src/core/config/ocserv-conf.js';
import { decode as decodeProtobuf } from '../../src/core/control/protobuf.js';
import { VpnError } from '../../src/core/errors.js';
import { decodeBody } from '../../src/core/ipc/codec.js';
import { type Frame, FrameReader } from '../../src/core/ipc/frame.js';
import { registry } from '../../src/core/ipc/registry.js';
import { IpcViolation } from '../../src/core/ipc/violation.js';
import { parseOcpasswdLine } from '../../src/core/plugin-api/ocpasswd-format.js';
import { listUsers } from '../../src/core/users/ocpasswd-edit.js';
import { parseAuthBody } from '../../src/core/wire/auth-body.js';
import { clientIdentity, parseConnectRequest } from '../../src/core/wire/connect-request.js';
import { parseCookies } from '../../src/core/wire/cookies.js';
import { classifyDatagram } from '../../src/core/wire/dtls-hello.js';
import { notFound } from '../../src/core/wire/http-reply.js';
import { parseKdcProxyMessage } from '../../src/core/wire/kkdcp.js';
import { parseNegotiation } from '../../src/core/wire/negotiate.js';
import { parseProxyHeader } from '../../src/core/wire/proxy-protocol.js';
import { route } from '../../src/core/wire/urls.js';
import { type HttpRequest, serveHttp } from '../../src/core/worker/http-front.js';
import { parseOathLine } from '../../src/plugins/auth-plain/src/oath-line.js';
import { type AttributeName, dictionary } from '../../src/plugins/auth-radius/src/dictionary.js';
import { messageAuthenticator } from '../../src/plugins/auth-radius/src/digest.js';
import { parsePacket, valuesOf } from '../../src/plugins/auth-radius/src/packet.js';

export type Target = (input: Buffer) => void | Promise<void>;

/** What `parse` returns, or undefined when it refused with one of `refusals`. */
function allow<T>(
  refusals: readonly (abstract new (...args: never[]) => Error)[],
  parse: () => T,
): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (refusals.some((refusal) => error instanceof refusal)) return undefined;
    throw error;
  }
}

const MOST_REQUESTS = 16;

/** Everything that is read out of a request once it is complete. */
function readRequest({ method, url, headers, body }: HttpRequest): void {
  route(method, url, body.length > 0);
  assert(parseConnectRequest(headers).baseMtu <= 16_384);
  assert(Buffer.byteLength(clientIdentity(headers).userAgent) <= 63);
  parseNegotiation(headers);
  parseCookies(String(headers.cookie ?? ''));
  parseAuthBody(body);
}

/** A connection: the bytes come in two reads, cut where the first of them says. */
async function http(input: Buffer): Promise<void> {
  let requests = 0;
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  stream.on('error', () => {});
  serveHttp(stream, {
    onRequest: (request, reply) => {
      requests += 1;
      readRequest(request);
      reply(notFound());
    },
    onConnect: (request) => {
      readRequest(request);
      stream.destroy();
    },
    onHttpFailure: () => stream.destroy(),
    onAlert: () => stream.destroy(),
  });
  const cut = (input[0] ?? 0) % (input.length + 1);
  for (const part of [input.subarray(0, cut), input.subarray(cut)]) {
    if (!stream.destroyed) stream.push(part);
    await new Promise((done) => setImmediate(done));
  }
  stream.destroy();
  assert(requests <= MOST_REQUESTS);
}

/** One channel: whole frames, and each body by its declaration. */
function ipc(input: Buffer): void {
  const byId = new Map(registry.map((message) => [message.spec.id, message]));
  const reader = new FrameReader({
    onHeader: ({ id, length }) => {
      const message = byId.get(id);
      if (!message || length > message.maxBytes) throw new IpcViolation('size', 'not allowed');
      return { maxFds: 0 };
    },
    onFrame: ({ id, body }: Frame) => {
      const message = byId.get(id);
      if (message) decodeBody(message.spec.body, body, message.name);
    },
    closeFd: () => {},
  });
  allow([IpcViolation], () => reader.push(input, []));
}

const PROTOBUF = {
  number: { number: 1, type: 'uint' },
  signed: { number: 2, type: 'sint' },
  text: { number: 3, type: 'string' },
} as const;

const radiusNames = Object.keys(dictionary) as AttributeName[];
const secret = Buffer.from('secret');

export const targets: Readonly<Record<string, Target>> = {
  http,
  xml: (input) => {
    const { password } = parseAuthBody(input);
    assert((password?.length ?? 0) <= input.length);
  },
  cookies: (input) => {
    const { webvpn } = parseCookies(input.toString('latin1'));
    assert(webvpn === null || webvpn.length === 32);
  },
  'dtls-hello': (input) => {
    const result = classifyDatagram(input);
    assert(result.kind !== 'hello' || result.id.length <= 32);
  },
  'proxy-header': (input) => {
    const result = parseProxyHeader(input);
    assert(result.status !== 'done' || result.consumed <= input.length);
  },
  config: (input) => {
    const text = input.toString();
    const document = allow([VpnError], () => parseConf(text, { isVerbatim: () => false }));
    if (document) allow([VpnError], () => build(document, {}, 'input'));
  },
  'config-data': (input) => {
    for (const format of ['json', 'yaml'] as const) {
      const document = allow([VpnError], () => parseData(input.toString(), format));
      if (document) allow([VpnError], () => build(document, {}, 'input'));
    }
  },
  passwd: (input) => {
    const text = input.toString();
    for (const line of text.split('\n')) parseOcpasswdLine(line);
    listUsers(text);
  },
  'users-oath': (input) => {
    for (const line of input.toString().split('\n')) parseOathLine(line);
  },
  radius: (input) => {
    allow([RangeError], () => {
      const packet = parsePacket(input);
      for (const name of radiusNames) valuesOf(packet, name);
      messageAuthenticator(packet, packet.authenticator, secret);
    });
  },
  kkdcp: (input) => {
    const found = parseKdcProxyMessage(input);
    assert(!found || found.message.length < input.length);
  },
  ipc,
  'occtl-protobuf': (input) => {
    allow([RangeError], () => decodeProtobuf(PROTOBUF, input));
  },
};
