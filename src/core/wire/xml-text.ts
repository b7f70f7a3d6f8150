/** Text in XML: escaping of what we write, lenient reading of what clients write. */
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

/**
 * Replaces named and numeric entities. `raw` holds one byte per character (latin1); the result is bytes, because
 * a password need not be UTF-8. What is not an entity stays as it is.
 */
export function unescapeXml(raw: string): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const match of raw.matchAll(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot|apos));/g)) {
    parts.push(Buffer.from(raw.slice(at, match.index), 'latin1'), entityBytes(match));
    at = match.index + match[0].length;
  }
  parts.push(Buffer.from(raw.slice(at), 'latin1'));
  return Buffer.concat(parts);
}

function entityBytes([whole, decimal, hex, name]: RegExpExecArray | RegExpMatchArray): Buffer {
  if (name !== undefined) return Buffer.from(named[name] ?? '', 'latin1');
  const code = decimal !== undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex ?? '', 16);
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? Buffer.from(String.fromCodePoint(code), 'utf8') : Buffer.from(whole ?? '', 'latin1');
}
