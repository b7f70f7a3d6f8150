/** Text in XML: escaping of what we write, lenient reading of what clients write. */
import { secretBytes } from '../util/secret-bytes.js';

const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
const escapes: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Text for element content or an attribute. Control characters that XML 1.0 §2.2 forbids are left out. */
export function escapeXml(text: string): string {
  const allowed = [...text].filter((c) => c >= ' ' || c === '\n' || c === '\r' || c === '\t').join('');
  return allowed.replaceAll(/[<>&"']/g, (c) => escapes[c] ?? c);
}

const AMPERSAND = 0x26;
/** From `&` to `;`. */
const MAX_ENTITY_BYTES = 10;

/**
 * Replaces named and numeric entities. Bytes to bytes, because a password need not be UTF-8 and must not become a string,
 * which nobody can wipe. What is not an entity stays as it is.
 */
export function unescapeXml(raw: Uint8Array): Buffer {
  // An entity is never shorter than its character.
  const text = secretBytes(raw.length);
  let size = 0;
  for (let at = 0; at < raw.length; ) {
    const entity = raw[at] === AMPERSAND ? entityOf(raw.subarray(at, at + MAX_ENTITY_BYTES)) : null;
    if (entity) {
      size += text.write(entity.character, size);
      at += entity.length;
    } else {
      text[size++] = raw[at++] ?? 0;
    }
  }
  return text.subarray(0, size);
}

/** The entity at the beginning of `bytes`, null if there is none. */
function entityOf(bytes: Uint8Array): { readonly character: string; readonly length: number } | null {
  const length = bytes.indexOf(0x3b) + 1;
  const written = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('latin1');
  const [whole, decimal, hex, name] =
    /^&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot|apos));$/.exec(written) ?? [];
  if (whole === undefined) return null;
  if (name !== undefined) return { character: named[name] ?? '', length };
  const code = decimal !== undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex ?? '', 16);
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? { character: String.fromCodePoint(code), length } : null;
}
