/** Cookies: `webvpn` is the session, `webvpncontext` the SID; both carry 32 bytes (reference protocol.md §5). */
const COOKIE_BYTES = 32;
/** Standard base64 of exactly 32 bytes: 43 digits and one '='. */
const COOKIE_TEXT = /^[A-Za-z0-9+/]{43}=$/;

export interface Cookies {
  /** Session cookie; null: absent or not acceptable. */
  readonly webvpn: Buffer | null;
  readonly webvpncontext: Buffer | null;
}

/** Reads a Cookie header. A value that is not base64 of 32 bytes counts as absent. */
export function parseCookies(header: string): Cookies {
  let webvpn: Buffer | null = null;
  let webvpncontext: Buffer | null = null;
  for (const part of header.split(';')) {
    const equals = part.indexOf('=');
    if (equals < 0) continue;
    const name = part.slice(0, equals).trim().toLowerCase();
    const value = part.slice(equals + 1).trim();
    if (name === 'webvpn') webvpn = decodeCookie(value) ?? webvpn;
    if (name === 'webvpncontext') webvpncontext = decodeCookie(value) ?? webvpncontext;
  }
  return { webvpn, webvpncontext };
}

/** 32 bytes, or null. The length is checked before anything is decoded. */
export function decodeCookie(value: string): Buffer | null {
  if (!COOKIE_TEXT.test(value)) return null;
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === COOKIE_BYTES ? bytes : null;
}

export const encodeCookie = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
