/**
 * The first datagram of an unknown UDP source: which session does it belong to? (reference protocol.md §13, steps
 * 1 to 3). Used by main, which looks at nothing else that a client sends.
 *
 *   record (RFC 6347 §4.1)     type 1 | version 2 | epoch 2 | sequence 6 | length 2
 *   handshake (§4.2.2)         type 1 | length 3 | message_seq 2 | fragment_offset 3 | fragment_length 3
 *   ClientHello (§4.2.1)       version 2 | random 32 | session_id <0..32> | cookie <0..255> | cipher_suites <2..>
 *                              | compression_methods <1..> | extensions
 */
const RECORD_HEADER = 13;
const HANDSHAKE_HEADER = 12;
const RANDOM_AT = RECORD_HEADER + HANDSHAKE_HEADER + 2;
const RANDOM_BYTES = 32;
const SESSION_ID_AT = RANDOM_AT + RANDOM_BYTES;
const CONTENT_HANDSHAKE = 22;
const CONTENT_TYPES = [20, 21, 22, 23];
const CLIENT_HELLO = 1;
/** draft-mavrogiannopoulos-openconnect: `opaque app_id<1..255>` in a ClientHello extension. */
const EXTENSION_APP_ID = 48018;
const MAX_ID = 32;

export type DatagramClass =
  | { readonly kind: 'hello'; readonly id: Buffer; readonly from: 'app-id' | 'session-id' }
  /** A record of a client whose address changed; look the session up by address. */
  | { readonly kind: 'record' }
  | { readonly kind: 'drop'; readonly reason: string };

const drop = (reason: string): DatagramClass => ({ kind: 'drop', reason });

/**
 * Sorts a datagram. Every offset is checked before it is read.
 * @param allowZeroRandom take hellos of GnuTLS 3.6.3 to 3.6.12, whose random is all zero (a session could then be
 *   decrypted by anyone); OCSERV_ALLOW_BROKEN_CLIENTS=1 in ocserv.
 */
export function classifyDatagram(data: Buffer, allowZeroRandom = false): DatagramClass {
  if (data.length < RECORD_HEADER) return drop('shorter than a DTLS record header');
  const type = data.readUInt8(0);
  if (!CONTENT_TYPES.includes(type) || !isDtlsVersion(data.readUInt16BE(1))) return drop('not DTLS');
  return type === CONTENT_HANDSHAKE ? classifyHandshake(data, allowZeroRandom) : { kind: 'record' };
}

/** 1.0 and 1.2 (RFC 6347), and Cisco's pre-RFC variant 01 00. */
const isDtlsVersion = (version: number): boolean => [0xfeff, 0xfefd, 0x0100].includes(version);

function classifyHandshake(data: Buffer, allowZeroRandom: boolean): DatagramClass {
  if (data.length <= SESSION_ID_AT) return drop('ClientHello is too short');
  if (data.readUInt8(RECORD_HEADER) !== CLIENT_HELLO) return drop('handshake message is not a ClientHello');
  if (data.readUIntBE(RECORD_HEADER + 6, 3) !== 0) return drop('not the first fragment of a ClientHello');
  const random = data.subarray(RANDOM_AT, SESSION_ID_AT);
  if (!allowZeroRandom && random.every((byte) => byte === 0)) return drop('ClientHello random is all zero');
  const sessionId = vector8(data, SESSION_ID_AT);
  if (!sessionId) return drop('session_id is truncated');
  const appId = appIdExtension(data, SESSION_ID_AT + 1 + sessionId.length);
  if (appId && appId.length <= MAX_ID) return { kind: 'hello', id: appId, from: 'app-id' };
  const usable = sessionId.length >= 1 && sessionId.length <= MAX_ID;
  return usable ? { kind: 'hello', id: sessionId, from: 'session-id' } : drop('ClientHello names no session');
}

/** Vector with a one-byte length at `at`; null when it does not fit. */
function vector8(data: Buffer, at: number): Buffer | null {
  if (at >= data.length) return null;
  const end = at + 1 + data.readUInt8(at);
  return end <= data.length ? data.subarray(at + 1, end) : null;
}

/** Offset behind a vector with a length of `size` bytes at `at`; null when it does not fit. */
function skipVector(data: Buffer, at: number, size: 1 | 2): number | null {
  if (at + size > data.length) return null;
  const end = at + size + data.readUIntBE(at, size);
  return end <= data.length ? end : null;
}

/** The app id after the session id, if the hello has that extension and reaches so far. */
function appIdExtension(data: Buffer, cookieAt: number): Buffer | null {
  const suitesAt = skipVector(data, cookieAt, 1);
  const compressionAt = suitesAt === null ? null : skipVector(data, suitesAt, 2);
  const extensionsAt = compressionAt === null ? null : skipVector(data, compressionAt, 1);
  if (extensionsAt === null) return null;
  const end = skipVector(data, extensionsAt, 2);
  let at = extensionsAt + 2;
  while (end !== null && at + 4 <= end) {
    const next = skipVector(data, at + 2, 2);
    if (next === null || next > end) return null;
    if (data.readUInt16BE(at) === EXTENSION_APP_ID) return appIdValue(data.subarray(at + 4, next));
    at = next;
  }
  return null;
}

function appIdValue(extension: Buffer): Buffer | null {
  const value = vector8(extension, 0);
  return value && value.length > 0 ? value : null;
}
