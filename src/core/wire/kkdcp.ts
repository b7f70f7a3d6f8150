/**
 * KDC-PROXY-MESSAGE of MS-KKDCP in DER (reference protocol.md §4.10):
 *
 *     SEQUENCE { [0] OCTET STRING kerb-message, [1] GeneralString target-domain OPTIONAL, [2] INTEGER dclocator-hint OPTIONAL }
 *
 * kerb-message has the four-byte length in front that Kerberos has on TCP (RFC 4120 section 7.2.2).
 */

export interface KdcProxyMessage {
  /** Without its length in front. */
  readonly message: Uint8Array;
  /** '' when it names none. */
  readonly realm: string;
}

/** Largest Kerberos message, bytes. */
export const MAX_KERBEROS_MESSAGE = 64 * 1024;
const LENGTH_BYTES = 4;
const MAX_REALM = 255;

const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const GENERAL_STRING = 0x1b;
const CONTEXT_0 = 0xa0;
const CONTEXT_1 = 0xa1;
const CONTEXT_2 = 0xa2;
/** What a client asks a KDC for tickets with: AS-REQ and TGS-REQ (RFC 4120 section 5.10). */
const TICKET_REQUESTS: readonly number[] = [0x6a, 0x6c];

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  readonly rest: Buffer;
}

/** null: not such a message, or not with a request for a ticket in it. */
export function parseKdcProxyMessage(body: Uint8Array): KdcProxyMessage | null {
  const outer = element(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  if (outer?.tag !== SEQUENCE || outer.rest.length > 0) return null;
  const first = element(outer.content);
  const message = first?.tag === CONTEXT_0 ? unframed(only(first.content, OCTET_STRING)) : null;
  if (!first || !message || !TICKET_REQUESTS.includes(message[0] ?? 0)) return null;
  const realm = realmOf(first.rest);
  return realm === null ? null : { message, realm };
}

/** The reply for the client. */
export function kdcProxyReply(message: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(message.length);
  return encode(SEQUENCE, encode(CONTEXT_0, encode(OCTET_STRING, Buffer.concat([length, message]))));
}

/** What follows kerb-message: null for a fault, '' without a realm. */
function realmOf(rest: Buffer): string | null {
  if (rest.length === 0) return '';
  const next = element(rest);
  if (next?.tag === CONTEXT_2) return next.rest.length === 0 ? '' : null;
  if (next?.tag !== CONTEXT_1) return null;
  const after = next.rest.length > 0 ? element(next.rest) : null;
  if (next.rest.length > 0 && (after?.tag !== CONTEXT_2 || after.rest.length > 0)) return null;
  const name = only(next.content, GENERAL_STRING);
  return name && name.length <= MAX_REALM ? name.toString('latin1') : null;
}

function unframed(framed: Buffer | null): Buffer | null {
  if (!framed || framed.length <= LENGTH_BYTES) return null;
  const length = framed.readUInt32BE(0);
  return length === framed.length - LENGTH_BYTES && length <= MAX_KERBEROS_MESSAGE
    ? framed.subarray(LENGTH_BYTES)
    : null;
}

/** The content of the one element that is there, if it has this tag. */
function only(bytes: Buffer, tag: number): Buffer | null {
  const found = element(bytes);
  return found?.tag === tag && found.rest.length === 0 ? found.content : null;
}

/** The first element; null when it is not complete or its length is in no form of DER. */
function element(bytes: Buffer): Element | null {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return null;
  const size = first < 0x80 ? 0 : first - 0x80;
  if (size > 3 || (first >= 0x80 && size === 0) || bytes.length < 2 + size) return null;
  const length = size === 0 ? first : bytes.readUIntBE(2, size);
  const start = 2 + size;
  if (bytes.length - start < length) return null;
  return { tag, content: bytes.subarray(start, start + length), rest: bytes.subarray(start + length) };
}

function encode(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes = [];
  for (let left = length; left > 0; left >>>= 8) bytes.unshift(left & 0xff);
  return [0x80 + bytes.length, ...bytes];
}
