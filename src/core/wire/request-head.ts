/**
 * The head of an HTTP/1.1 request (RFC 9112) as data. What could be read in two ways, by a proxy in front and by us, is
 * refused: bare line feeds, folded lines, spaces before the colon, lengths that are repeated or contradict each other.
 */
import type { RequestHeaders } from './connect-request.js';

/** The client broke a rule of HTTP or one of our limits; the message is for the log. */
export class HttpViolation extends Error {}

export interface RequestHead {
  readonly method: string;
  readonly url: string;
  readonly headers: RequestHeaders;
  /** Of HTTP/1.0 or HTTP/1.1. */
  readonly minorVersion: number;
  /** Bytes of the body, or that it comes in chunks. */
  readonly body: number | 'chunked';
  /** The client wants the connection to end with the reply. */
  readonly last: boolean;
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
}

/** Registered at IANA (RFC 9110 §16.1.1) or in wide use; most get no more than a 404. */
const METHODS = [
  'GET POST CONNECT HEAD PUT DELETE OPTIONS TRACE PATCH',
  'ACL BIND CHECKOUT COPY LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY PROPFIND PROPPATCH PURGE QUERY',
  'REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE',
].flatMap((line) => line.split(' '));
const known = new Set(METHODS);

const REQUEST_LINE = /^([A-Z-]+) ([!-~]+) HTTP\/1\.([01])$/;
/** origin-form, absolute-form or asterisk-form (RFC 9112 §3.2). */
const TARGET = /^(?:\/|\*$|[A-Za-z]+:\/\/)/;
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const SPACE = 0x20;
const TAB = 0x09;
/** Of a length: more digits than any body that is taken. */
const MAX_DIGITS = 15;

/** Whose second appearance is a second opinion on where the request ends or for whom it is. */
const ONCE = new Set(['content-length', 'transfer-encoding', 'host']);
/** Of these the first counts; others are lists (RFC 9110 §5.3). */
const FIRST_COUNTS = new Set(['authorization', 'content-type', 'user-agent']);

/** Whether `start` can still become a request line, or the empty line before one. */
export function mayBecomeRequest(start: string): boolean {
  return (
    start === '\r' ||
    METHODS.some((method) => start.startsWith(`${method} `) || `${method} `.startsWith(start))
  );
}

/**
 * @param text the head, one character for each byte, without the blank line at its end
 * @throws HttpViolation
 */
export function parseHead(text: string): RequestHead {
  const [first = '', ...lines] = text.split('\r\n');
  const [, method = '', url = '', minor] = REQUEST_LINE.exec(first) ?? [];
  if (!known.has(method)) throw notHttp('no request line');
  if (method !== 'CONNECT' && !TARGET.test(url)) throw notHttp('no request target');
  const headers = parseFields(lines);
  const minorVersion = Number(minor);
  const connection = headers.connection ?? '';
  return {
    method,
    url,
    headers,
    minorVersion,
    body: bodyOf(method, headers, minorVersion),
    last: minorVersion === 0 || /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(connection),
    expectsContinue: minorVersion === 1 && headers.expect?.toLowerCase() === '100-continue',
  };
}

function parseFields(lines: readonly string[]): Record<string, string> {
  // Names are the client's: none of them may mean anything to an object.
  const headers = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon < 1 || !FIELD_NAME.test(name)) throw notHttp('a line is no header');
    add(headers, name, withoutSpace(line, colon + 1));
  }
  return headers;
}

function add(headers: Record<string, string>, name: string, value: string): void {
  const held = headers[name];
  if (held === undefined) headers[name] = value;
  else if (ONCE.has(name)) throw notHttp(`${name} comes twice`);
  else if (!FIRST_COUNTS.has(name)) headers[name] = `${held}${name === 'cookie' ? '; ' : ', '}${value}`;
}

/** RFC 9112 §6.3. CONNECT has no body: what follows is the tunnel's. */
function bodyOf(method: string, headers: Record<string, string>, minorVersion: number): number | 'chunked' {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  if (encoding !== undefined) {
    if (length !== undefined) throw notHttp('a length and an encoding');
    if (encoding.toLowerCase() !== 'chunked' || minorVersion === 0)
      throw notHttp('an encoding other than chunked');
    return method === 'CONNECT' ? 0 : 'chunked';
  }
  if (length === undefined) return 0;
  if (!/^\d+$/.test(length) || length.length > MAX_DIGITS) throw notHttp('a length that is none');
  return method === 'CONNECT' ? 0 : Number(length);
}

/** `line` from `start` on, without the spaces around. Not by a regular expression: those look at long runs again and again. */
function withoutSpace(line: string, start: number): string {
  let from = start;
  let to = line.length;
  while (from < to && isSpace(line.charCodeAt(from))) from += 1;
  while (to > from && isSpace(line.charCodeAt(to - 1))) to -= 1;
  return line.slice(from, to);
}

const isSpace = (code: number): boolean => code === SPACE || code === TAB;

export const notHttp = (detail: string): HttpViolation => new HttpViolation(`not HTTP: ${detail}`);
