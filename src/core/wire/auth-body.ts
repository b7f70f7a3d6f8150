/**
 * Reads the body of a login POST: aggregate-auth XML or an old url-encoded form (reference protocol.md §4.3).
 * A search, not a parser: clients exist that write malformed XML (`<?xml version: "1.0"`), and nothing of a document's
 * structure matters here. A password stays bytes all the way: a string could not be wiped.
 */
import { secretBytes } from '../util/secret-bytes.js';
import { unescapeXml } from './xml-text.js';

export interface AuthBody {
  readonly format: 'xml' | 'form';
  /** null: the field is absent; an empty value is legal. */
  readonly username: string | null;
  /** A copy of its own, for the caller to wipe. */
  readonly password: Buffer | null;
  readonly group: string | null;
}

/** Longer ones are none that matter here. */
const MAX_TAG_BYTES = 1024;

const SLASH = 0x2f;
/** User name, password, group. */
const OPENING_TAGS = [
  /^<username\s*(\/?)>$/i,
  /^<password[^>]*?(\/?)>$|^<[^\s<>/]*_password\s*(\/?)>$/i,
  /^<group-select\s*(\/?)>$/i,
] as const;

/** Never fails: what is not found is null. */
export function parseAuthBody(body: Uint8Array): AuthBody {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return isXml(bytes) ? parseXml(bytes) : parseForm(bytes);
}

function isXml(bytes: Buffer): boolean {
  for (let at = bytes.indexOf('<?'); at >= 0; at = bytes.indexOf('<?', at + 1))
    if (/^xml/i.test(bytes.toString('latin1', at + 2, at + 5))) return true;
  return false;
}

function parseXml(bytes: Buffer): AuthBody {
  /** Text of the first element of each kind. */
  const found: (Buffer | null | undefined)[] = OPENING_TAGS.map(() => undefined);
  for (let at = bytes.indexOf('<'); at >= 0; at = bytes.indexOf('<', at + 1)) {
    const length = bytes[at + 1] === SLASH ? 0 : bytes.subarray(at, at + MAX_TAG_BYTES).indexOf('>') + 1;
    if (length === 0) continue;
    const text = bytes.toString('latin1', at, at + length);
    for (const [kind, openingTag] of OPENING_TAGS.entries()) {
      if (found[kind] !== undefined) continue;
      const tag = openingTag.exec(text);
      if (tag) found[kind] = tag[1] || tag[2] ? Buffer.alloc(0) : textFrom(bytes, at + length);
    }
  }
  const [username = null, password = null, group = null] = found;
  return { format: 'xml', username: utf8(username), password, group: utf8(group) };
}

/** Of an element whose opening tag ends there, up to the next `</`; null without such an end. */
function textFrom(bytes: Buffer, start: number): Buffer | null {
  const end = bytes.indexOf('</', start);
  return end < 0 ? null : unescapeXml(bytes.subarray(start, end));
}

function parseForm(bytes: Buffer): AuthBody {
  const fields = [...formFields(bytes)];
  const value = (wanted: (key: string) => boolean): Buffer | null => {
    const field = fields.find(({ key }) => wanted(key));
    return field ? percentDecode(field.value) : null;
  };
  return {
    format: 'form',
    username: utf8(value((key) => key === 'username')),
    password: value((key) => key.includes('password')),
    group: utf8(value((key) => key === 'group_list' || key === 'group-select')),
  };
}

function* formFields(bytes: Buffer): Generator<{ readonly key: string; readonly value: Buffer }> {
  for (let at = 0; at <= bytes.length; ) {
    const next = bytes.indexOf('&', at);
    const end = next < 0 ? bytes.length : next;
    const field = bytes.subarray(at, end);
    const equals = field.indexOf('=');
    if (equals >= 0) {
      const key = percentDecode(field.subarray(0, equals)).toString('latin1').trim().toLowerCase();
      yield { key, value: field.subarray(equals + 1) };
    }
    at = end + 1;
  }
}

const [PLUS, PERCENT, BLANK, CR, LF] = [0x2b, 0x25, 0x20, 0x0d, 0x0a];

/** application/x-www-form-urlencoded; a '%' without two hex digits stays, line ends at the end do not. */
function percentDecode(raw: Buffer): Buffer {
  const decoded = secretBytes(raw.length);
  let size = 0;
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at] ?? 0;
    const code = byte === PERCENT ? hexDigit(raw[at + 1]) * 16 + hexDigit(raw[at + 2]) : Number.NaN;
    if (!Number.isNaN(code)) at += 2;
    decoded[size++] = Number.isNaN(code) ? (byte === PLUS ? BLANK : byte) : code;
  }
  while (size > 0 && (decoded[size - 1] === CR || decoded[size - 1] === LF)) size--;
  return decoded.subarray(0, size);
}

/** NaN for what is none. */
function hexDigit(byte = 0): number {
  return Number.parseInt(String.fromCharCode(byte), 16);
}

const utf8 = (bytes: Buffer | null): string | null => bytes?.toString('utf8') ?? null;
