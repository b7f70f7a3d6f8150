/** One-time passwords: HOTP (RFC 4226) and TOTP (RFC 6238) with HMAC-SHA-1. Pure. */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** Codes that are looked at beyond the expected one; the same as ocserv's. */
export const WINDOW = 20;

/** What a token is, and what of its state decides about the next code. */
export interface Token {
  /** Seconds of a time step (TOTP); 0: the token counts events (HOTP). */
  readonly stepSec: number;
  readonly digits: number;
  readonly key: Uint8Array;
  /** HOTP: counter of the next code. TOTP: time steps by which the token's clock is ahead. */
  readonly counter: number;
  /** The last code that was accepted, '' before the first. */
  readonly lastCode: string;
}

/** RFC 4226 section 5.3. */
export function hotp(key: Uint8Array, counter: number, digits: number): string {
  const moving = Buffer.alloc(8);
  moving.writeBigUInt64BE(BigInt(counter));
  const mac = createHmac('sha1', key).update(moving).digest();
  const offset = (mac.at(-1) ?? 0) & 0xf;
  const binary = mac.readUInt32BE(offset) & 0x7fff_ffff;
  return String(binary % 10 ** digits).padStart(digits, '0');
}

/**
 * The token's next `counter` if `code` is right now, else null. A code that was accepted before is refused, and so
 * is every older one. `nowSec`: seconds since the epoch.
 */
export function acceptCode(token: Token, code: string, nowSec: number): number | null {
  if (!/^\d+$/.test(code) || code.length !== token.digits) return null;
  return token.stepSec === 0 ? acceptEvent(token, code) : acceptTime(token, code, nowSec);
}

function acceptEvent({ key, counter, digits, lastCode }: Token, code: string): number | null {
  // liboath keeps the counter of the last code, others that of the next one: this covers the former.
  if (lastCode !== '' && sameCode(lastCode, code)) return null;
  const at = matchAt(key, digits, code, counter, counter + WINDOW, 'first');
  return at === null ? null : at + 1;
}

function acceptTime(token: Token, code: string, nowSec: number): number | null {
  const { key, digits, stepSec, lastCode } = token;
  const now = Math.floor(nowSec / stepSec);
  // liboath adds up in this field what is no drift: a centre within the window of `now` always finds the right code.
  const centre = now + (Math.abs(token.counter) <= WINDOW ? token.counter : 0);
  const [from, to] = [Math.max(0, centre - WINDOW), centre + WINDOW];
  // A last code outside of the window is older than all inside.
  const used = lastCode === '' ? null : matchAt(key, digits, lastCode, from, to, 'last');
  const at = matchAt(key, digits, code, used === null ? from : used + 1, to, 'last');
  return at === null ? null : Math.max(-WINDOW, Math.min(WINDOW, at - now));
}

/** The first or last counter in from..to that gives `code`. All are computed, so that time tells nothing. */
function matchAt(
  key: Uint8Array,
  digits: number,
  code: string,
  from: number,
  to: number,
  which: 'first' | 'last',
): number | null {
  const matches: number[] = [];
  for (let at = from; at <= to; at++) if (sameCode(hotp(key, at, digits), code)) matches.push(at);
  return matches.at(which === 'first' ? 0 : -1) ?? null;
}

function sameCode(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
