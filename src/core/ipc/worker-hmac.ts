/**
 * The HMAC of WORKER_STARTUP: main makes it, the worker carries it unread to secmod in SEC_AUTH_INIT, secmod
 * verifies it. So a worker that was taken over cannot invent the address that a login comes from.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

export interface WorkerOrigin {
  /** Address of the TCP peer as accepted, before any PROXY header. */
  readonly origRemoteIp: string;
  readonly ourIp: string;
  /** Seconds since the epoch. */
  readonly sessionStartTime: number;
}

const DOMAIN = Buffer.from('ocvpn worker origin v1\0', 'latin1');

/** Each text with its length before it, then the time as 8 bytes big endian: no two origins encode alike. */
function encode(origin: WorkerOrigin): Buffer {
  const parts: Buffer[] = [DOMAIN];
  for (const text of [origin.origRemoteIp, origin.ourIp]) {
    const bytes = Buffer.from(text, 'utf8');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    parts.push(length, bytes);
  }
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(origin.sessionStartTime));
  return Buffer.concat([...parts, time]);
}

/** HMAC-SHA256 (32 bytes) with the key of SECM_STARTUP. A KeyObject, because Node takes long to make one of bytes. */
export function workerHmac(key: KeyObject, origin: WorkerOrigin): Buffer {
  return createHmac('sha256', key).update(encode(origin)).digest();
}

/** Constant-time comparison with the HMAC that `origin` should have. */
export function workerHmacMatches(key: KeyObject, origin: WorkerOrigin, hmac: Uint8Array): boolean {
  const expected = workerHmac(key, origin);
  return hmac.length === expected.length && timingSafeEqual(expected, hmac);
}
