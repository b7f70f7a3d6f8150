/**
 * Reads the body of a login POST: aggregate-auth XML or an old url-encoded form (reference protocol.md §4.3).
 * A text search, not a parser: clients exist that write malformed XML (`<?xml version: "1.0"`), and nothing of
 * a document's structure matters here. Bytes are kept one per character until a value was cut out.
 */
import { unescapeXml } from './xml-text.js';

export interface AuthBody {
  readonly format: 'xml' | 'form';
  /** null: the field is absent; an empty value is legal. */
  readonly username: string | null;
  readonly password: Buffer | null;
  readonly group: string | null;
}

/** Never fails: what is not found is null. */
export function parseAuthBody(body: Uint8Array): AuthBody {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
  return /<\?xml/i.test(text) ? parseXml(text) : parseForm(text);
}

function parseXml(text: string): AuthBody {
  return {
    format: 'xml',
    username: utf8(elementText(text, /<username\s*(\/?)>/i)),
    password: elementText(text, /<password[^>]*?(\/?)>|<[^\s<>/]*_password\s*(\/?)>/i),
    group: utf8(elementText(text, /<group-select\s*(\/?)>/i)),
  };
}

/** Text after the first opening tag up to the next `</`; null without such a tag. */
function elementText(text: string, openingTag: RegExp): Buffer | null {
  const tag = openingTag.exec(text);
  if (!tag) return null;
  if (tag[1] || tag[2]) return Buffer.alloc(0);
  const start = tag.index + tag[0].length;
  const end = text.indexOf('</', start);
  return end < 0 ? null : unescapeXml(text.slice(start, end));
}

function parseForm(text: string): AuthBody {
  const fields = text.split('&').map(splitField);
  const value = (wanted: (key: string) => boolean): Buffer | null =>
    fields.find(([key]) => wanted(key))?.[1] ?? null;
  return {
    format: 'form',
    username: utf8(value((key) => key === 'username')),
    password: value((key) => key.includes('password')),
    group: utf8(value((key) => key === 'group_list' || key === 'group-select')),
  };
}

function splitField(field: string): [key: string, value: Buffer] {
  const equals = field.indexOf('=');
  if (equals < 0) return ['', Buffer.alloc(0)];
  const key = percentDecode(field.slice(0, equals)).toString('latin1').trim().toLowerCase();
  return [key, percentDecode(field.slice(equals + 1))];
}

/** application/x-www-form-urlencoded; a '%' without two hex digits stays. */
function percentDecode(text: string): Buffer {
  const decoded = text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(decoded.replace(/[\r\n]+$/, ''), 'latin1');
}

const utf8 = (bytes: Buffer | null): string | null => bytes?.toString('utf8') ?? null;
