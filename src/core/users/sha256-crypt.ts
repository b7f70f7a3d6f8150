/**
 * SHA-256-crypt, the `$5$` method of crypt(3), after the specification "Unix crypt using SHA-256 and SHA-512"
 * (Ulrich Drepper, public domain). The step numbers are those of the specification.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ROUNDS = 5000;
const SALT_CHARACTERS = 16;

/** A hash as ocpasswd writes it: `$5$`, 16 characters of salt, 5000 rounds. */
export function makeSha256Crypt(password: string): string {
  const salt = Array.from(randomBytes(SALT_CHARACTERS), (byte) => ALPHABET.charAt(byte & 0x3f)).join('');
  return sha256Crypt(password, salt);
}

/** Whether `stored`, a `$5$` hash with the usual number of rounds, is that of `password`. */
export function sha256CryptMatches(password: string, stored: string): boolean {
  const salt = /^\$5\$([^$]{1,16})\$[./0-9A-Za-z]{43}$/.exec(stored)?.[1];
  if (salt === undefined) return false;
  return timingSafeEqual(Buffer.from(sha256Crypt(password, salt)), Buffer.from(stored));
}

/** `salt`: at most 16 characters without `$`. */
export function sha256Crypt(password: string, salt: string): string {
  const key = Buffer.from(password, 'utf8');
  const saltBytes = Buffer.from(salt, 'latin1');
  const first = firstDigest(key, saltBytes);
  const keySequence = repeat(sha256(repeat(key, key.length * key.length)), key.length); // steps 13-16
  const saltCount = 16 + first.readUInt8(0);
  const saltSequence = repeat(sha256(repeat(saltBytes, saltBytes.length * saltCount)), saltBytes.length); // 17-20
  let digest = first;
  for (let round = 0; round < ROUNDS; round++) {
    const odd = round % 2 === 1; // step 21
    const parts = [odd ? keySequence : digest];
    if (round % 3 !== 0) parts.push(saltSequence);
    if (round % 7 !== 0) parts.push(keySequence);
    parts.push(odd ? digest : keySequence);
    digest = sha256(Buffer.concat(parts));
  }
  return `$5$${salt}$${encodeDigest(digest)}`;
}

/** Steps 1-12. */
function firstDigest(key: Buffer, salt: Buffer): Buffer {
  const alternate = sha256(Buffer.concat([key, salt, key]));
  const parts = [key, salt, repeat(alternate, key.length)];
  for (let bits = key.length; bits > 0; bits >>= 1) parts.push(bits & 1 ? alternate : key);
  return sha256(Buffer.concat(parts));
}

function sha256(data: Buffer): Buffer {
  return hash('sha256', data, 'buffer');
}

/** `unit` over and over, cut to `length` bytes. */
function repeat(unit: Buffer, length: number): Buffer {
  return Buffer.alloc(length, unit);
}

/** Step 22: three bytes become four characters, low bits first, the bytes taken 10 and 20 apart. */
function encodeDigest(digest: Buffer): string {
  const at = (index: number): number => digest[index] ?? 0;
  let text = '';
  for (let group = 0; group < 10; group++) {
    const [a, b, c] = [group % 30, (group + 10) % 30, (group + 20) % 30];
    const order = [
      [a, b, c],
      [c, a, b],
      [b, c, a],
    ][group % 3] ?? [a, b, c];
    const [high = 0, middle = 0, low = 0] = order;
    text += characters((at(high) << 16) | (at(middle) << 8) | at(low), 4);
  }
  return text + characters((at(31) << 8) | at(30), 3);
}

function characters(value: number, count: number): string {
  let text = '';
  for (let i = 0; i < count; i++) text += ALPHABET.charAt((value >> (6 * i)) & 0x3f);
  return text;
}
