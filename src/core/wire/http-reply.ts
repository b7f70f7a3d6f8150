/**
 * HTTP replies as data. Header names and order are part of the protocol: clients compare them exactly
 * (reference protocol.md §2), so a reply is a list of pairs and nothing adds to it.
 */
export type Header = readonly [name: string, value: string];

export interface HttpReply {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly Header[];
  readonly body: string | Uint8Array;
  /** What happens to the connection after the reply; 'alert': fatal alert access_denied, then close. */
  readonly after: 'keep' | 'close' | 'alert';
}

/** The bytes of a reply; `minorVersion` is echoed from the request (HTTP/1.0 or HTTP/1.1). */
export function serializeReply(reply: HttpReply, minorVersion = 1): Buffer {
  const lines = reply.headers.map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.${minorVersion} ${reply.status} ${reply.reason}\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(reply.body)]);
}

/** Any path that is not served. */
export function notFound(): HttpReply {
  const body = '<html><body><h1>404 Not Found</h1></body></html>\r\n';
  return {
    status: 404,
    reason: 'Not found',
    headers: [
      ['Content-length', String(body.length)],
      ['Connection', 'close'],
    ],
    body,
    after: 'close',
  };
}

/** What a web server that asks for a password says; for camouflage, so nothing of it is a VPN server's. */
export function passwordWanted(realm: string): HttpReply {
  const quoted = realm.replaceAll(/[\r\n]+/g, ' ').replaceAll(/["\\]/g, '\\$&');
  return plainRefusal(401, 'Unauthorized', [['WWW-Authenticate', `Basic realm="${quoted}"`]]);
}

/** What a web server says of a page that it does not have; for camouflage, notFound() is known as a VPN server's. */
export function plainNotFound(): HttpReply {
  return plainRefusal(404, 'Not Found', []);
}

/** What a web server says to a request without Host (RFC 9112 §3.2). */
export function badRequest(): HttpReply {
  return plainRefusal(400, 'Bad Request', []);
}

/** What a web server that is no proxy says to CONNECT; for camouflage. */
export function methodNotAllowed(): HttpReply {
  return plainRefusal(405, 'Method Not Allowed', []);
}

function plainRefusal(status: number, reason: string, headers: readonly Header[]): HttpReply {
  const body = `<html><body><h1>${status} ${reason}</h1></body></html>\r\n`;
  const common: Header[] = [
    ['Content-Type', 'text/html'],
    ['Content-Length', String(body.length)],
    ['Connection', 'close'],
  ];
  return { status, reason, headers: [...headers, ...common], body, after: 'close' };
}

/** Reasons of a final 401 in the login phase and at CONNECT. */
export type DenyReason =
  | 'Authentication failed'
  | 'Internal error'
  | 'No certificate'
  | 'No password'
  | 'Cookie is not acceptable';

/** Final refusal: the client must not try again on this connection. */
export function unauthorized(reason: DenyReason): HttpReply {
  return { status: 401, reason, headers: [['Content-Length', '0']], body: '', after: 'alert' };
}

/** No cookie at CONNECT, or (with `why`, which openconnect prints) a session that cannot be opened. */
export function serviceUnavailable(why?: string): HttpReply {
  const headers: Header[] = why ? [['X-Reason', why]] : [];
  headers.push(['Content-Length', '0']);
  return { status: 503, reason: 'Service Unavailable', headers, body: '', after: 'alert' };
}

/** A 200 as the stub pages and the login replies have it. */
export function page(contentType: string, body: string): HttpReply {
  return {
    status: 200,
    reason: 'OK',
    headers: [
      ['Connection', 'Keep-Alive'],
      ['Content-Type', contentType],
      ['X-Transcend-Version', '1'],
      ['Content-Length', String(Buffer.byteLength(body))],
    ],
    body,
    after: 'keep',
  };
}

/** What a KDC said (MS-KKDCP). */
export function kerberosReply(body: Uint8Array): HttpReply {
  const headers: Header[] = [
    ['Content-Type', 'application/kerberos'],
    ['Content-Length', String(body.length)],
  ];
  return { status: 200, reason: 'OK', headers, body, after: 'keep' };
}

/** A KDC could not be asked. */
export function kdcUnreachable(reason: string): HttpReply {
  return { status: 502, reason, headers: [['Content-Length', '0']], body: '', after: 'close' };
}
