/**
 * What the shared secret protects: authenticators (RFC 2865 §3, RFC 2866 §3, RFC 5176 §2.3), Message-Authenticator
 * (RFC 3579 §3.2), hidden values (RFC 2865 §5.2, RFC 2868 §3.5). Digests are compared as bytes in constant time.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { dictionary } from './dictionary.js';
import { type Attribute, AUTHENTICATOR_BYTES, buildPacket, HEADER_BYTES, type Packet } from './packet.js';

const BLOCK = 16;
const MAX_PASSWORD_BYTES = 128;
const NO_AUTHENTICATOR = Buffer.alloc(AUTHENTICATOR_BYTES);

const md5 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Access-Request or Status-Server: a random authenticator, Message-Authenticator as first attribute. */
export function sealAccess(
  code: number,
  id: number,
  authenticator: Uint8Array,
  attributes: readonly Attribute[],
  secret: Uint8Array,
  withMessageAuthenticator = true,
): Buffer {
  if (!withMessageAuthenticator) return buildPacket(code, id, authenticator, attributes);
  return signed(buildPacket(code, id, authenticator, withEmptyDigest(attributes)), secret);
}

/** Accounting-, CoA- or Disconnect-Request: its authenticator is a digest over it. */
export function sealRequest(
  code: number,
  id: number,
  attributes: readonly Attribute[],
  secret: Uint8Array,
): Buffer {
  const packet = buildPacket(code, id, NO_AUTHENTICATOR, attributes);
  md5(packet, secret).copy(packet, 4);
  return packet;
}

/** The reply to `request`, with Message-Authenticator. */
export function sealReply(
  code: number,
  request: Packet,
  attributes: readonly Attribute[],
  secret: Uint8Array,
): Buffer {
  const packet = signed(
    buildPacket(code, request.id, request.authenticator, withEmptyDigest(attributes)),
    secret,
  );
  md5(packet, secret).copy(packet, 4);
  return packet;
}

const withEmptyDigest = (attributes: readonly Attribute[]): Attribute[] => [
  ['Message-Authenticator', NO_AUTHENTICATOR],
  ...attributes,
];

/** Fills in the Message-Authenticator that stands first. */
function signed(packet: Buffer, secret: Uint8Array): Buffer {
  createHmac('md5', secret)
    .update(packet)
    .digest()
    .copy(packet, HEADER_BYTES + 2);
  return packet;
}

/** Whether the Response Authenticator fits the request's authenticator. */
export function isReplyGenuine(reply: Packet, requestAuthenticator: Uint8Array, secret: Uint8Array): boolean {
  const { bytes, authenticator } = reply;
  const digest = md5(bytes.subarray(0, 4), requestAuthenticator, bytes.subarray(HEADER_BYTES), secret);
  return timingSafeEqual(digest, authenticator);
}

/** Whether the authenticator of an Accounting-, CoA- or Disconnect-Request is the digest over it. */
export function isRequestGenuine(request: Packet, secret: Uint8Array): boolean {
  return isReplyGenuine(request, NO_AUTHENTICATOR, secret);
}

/**
 * `authenticator`: that of the request when `packet` is a reply, the packet's own in an Access-Request, zeros (null) in the
 * requests whose authenticator is a digest. More than one Message-Authenticator is a wrong one.
 */
export function messageAuthenticator(
  packet: Packet,
  authenticator: Uint8Array | null,
  secret: Uint8Array,
): 'absent' | 'right' | 'wrong' {
  const { code } = dictionary['Message-Authenticator'];
  const [found, second] = packet.attributes.filter((raw) => raw.vendor === 0 && raw.code === code);
  if (!found) return 'absent';
  if (second || found.value.length !== BLOCK) return 'wrong';
  const copy = Buffer.from(packet.bytes);
  copy.set(authenticator ?? NO_AUTHENTICATOR, 4);
  copy.fill(0, found.offset, found.offset + BLOCK);
  const digest = createHmac('md5', secret).update(copy).digest();
  return timingSafeEqual(digest, found.value) ? 'right' : 'wrong';
}

/** User-Password of up to 128 bytes. Throws RangeError for a longer one. */
export function hidePassword(password: Uint8Array, authenticator: Uint8Array, secret: Uint8Array): Buffer {
  if (password.length > MAX_PASSWORD_BYTES) throw new RangeError(`a password of ${password.length} bytes`);
  // Not Buffer.alloc(): of small arrays in its heap V8 leaves copies behind.
  const padded = Buffer.from(new ArrayBuffer(Math.max(1, Math.ceil(password.length / BLOCK)) * BLOCK));
  padded.set(password);
  return chain(padded, authenticator, secret, 'hide');
}

/** A value in the form of Tunnel-Password, without its tag: salt, then the hidden length and value. */
export function hideSalted(value: Uint8Array, authenticator: Uint8Array, secret: Uint8Array): Buffer {
  if (value.length > 239) throw new RangeError(`a hidden value of ${value.length} bytes`);
  const salt = randomBytes(2);
  salt[0] = (salt[0] ?? 0) | 0x80;
  const padded = Buffer.alloc(Math.ceil((value.length + 1) / BLOCK) * BLOCK);
  padded[0] = value.length;
  padded.set(value, 1);
  return Buffer.concat([salt, chain(padded, Buffer.concat([authenticator, salt]), secret, 'hide')]);
}

/** The reverse of hideSalted. Throws RangeError for what cannot be such a value. */
export function revealSalted(hidden: Uint8Array, authenticator: Uint8Array, secret: Uint8Array): Buffer {
  const [salt, cipher] = [hidden.subarray(0, 2), hidden.subarray(2)];
  if (cipher.length === 0 || cipher.length % BLOCK !== 0 || ((salt[0] ?? 0) & 0x80) === 0) {
    throw new RangeError('a broken hidden value');
  }
  const plain = chain(Buffer.from(cipher), Buffer.concat([authenticator, salt]), secret, 'reveal');
  const length = plain[0] ?? 0;
  if (length > plain.length - 1) throw new RangeError('a hidden value with a wrong length');
  return plain.subarray(1, 1 + length);
}

/** Adds the stream of digests that begins with `first`, in place. */
function chain(data: Buffer, first: Uint8Array, secret: Uint8Array, direction: 'hide' | 'reveal'): Buffer {
  let previous: Uint8Array = first;
  for (let at = 0; at < data.length; at += BLOCK) {
    const key = md5(secret, previous);
    // What is hidden must not be copied: see hidePassword.
    const received = direction === 'reveal' && Buffer.from(data.subarray(at, at + BLOCK));
    for (let index = 0; index < BLOCK; index++)
      data[at + index] = (data[at + index] ?? 0) ^ (key[index] ?? 0);
    previous = received || Buffer.from(data.subarray(at, at + BLOCK));
  }
  return data;
}
