/**
 * One line of a users.oath file, as mod_authn_otp and liboath write it. Pure. Fields, separated by white space:
 *
 *     TYPE USER PIN KEY [COUNTER [FAILURES] [LAST-CODE TIME [ADDRESS]]]
 *
 * TYPE is HOTP, HOTP/E, HOTP/E/DIGITS, HOTP/Tseconds or HOTP/Tseconds/DIGITS; PIN is `-` or `+` without one; KEY is
 * hexadecimal; COUNTER is that of the next code, or the drift of a clock in steps. FAILURES is mod_authn_otp's.
 */
import type { Token } from './otp.js';

export interface OathEntry extends Token {
  readonly userName: string;
  /** Typed before the code; '' for none. */
  readonly pin: string;
  /** The fields as they stand, for the line that replaces this one. */
  readonly fields: readonly string[];
  /** Whether the line keeps a count of failures. */
  readonly countsFailures: boolean;
}

const TYPE = /^HOTP(?:\/(?:E|T(\d{1,5}))(?:\/([678]))?)?$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dL$/;
const DEFAULT_DIGITS = 6;

/** null: a comment, or not a token that is supported. */
export function parseOathLine(line: string): OathEntry | null {
  const fields = line.trim().split(/\s+/);
  const [type = '', userName = '', pin = '', key = '', counterText = '0'] = fields;
  const kind = TYPE.exec(type);
  const counter = Number(counterText);
  const usable = kind && userName && pin && /^([0-9a-f]{2})+$/i.test(key) && /^-?\d{1,15}$/.test(counterText);
  const stepSec = Number(kind?.[1] ?? 0);
  if (!usable || (kind[1] !== undefined && stepSec === 0) || (stepSec === 0 && counter < 0)) return null;
  const countsFailures = fields.length === 6 ? isFailureCount(fields[5]) : TIME.test(fields[7] ?? '');
  return {
    userName,
    pin: pin === '-' || pin === '+' ? '' : pin,
    stepSec,
    digits: Number(kind[2] ?? DEFAULT_DIGITS),
    key: Buffer.from(key, 'hex'),
    counter,
    lastCode: fields[countsFailures ? 6 : 5] ?? '',
    fields,
    countsFailures,
  };
}

/** A lone sixth field: a code has at least six digits. */
function isFailureCount(field = ''): boolean {
  return /^\d{1,5}$/.test(field);
}

/** The line after `code` was accepted at `now` from `address`. */
export function usedLine(
  { fields, countsFailures }: OathEntry,
  counter: number,
  code: string,
  now: Date,
  address: string,
): string {
  const state = [String(counter), ...(countsFailures ? ['0'] : []), code, localTime(now)];
  const hadAddress = fields.length > (countsFailures ? 8 : 7);
  return [...fields.slice(0, 4), ...state, ...(hadAddress ? [address] : [])].join('\t');
}

/** Local time with the mark L, as both programs write it. */
function localTime(now: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join('-');
  return `${date}T${[now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(':')}L`;
}
