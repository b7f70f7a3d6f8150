/**
 * Tickets: all that main knows about an open session, sealed for its worker to keep. A main that starts again on the
 * same run directory opens what the workers present, and so needs no table on disk that would have to be written at
 * every login. A worker can neither read nor change a ticket, and one of another process is of no use to it.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { SocketAddress } from '../native/types.js';
import type { Channels, Client, Session } from './clients.js';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DOMAIN = Buffer.from('ocvpn client ticket v1', 'latin1');
/** A ticket unpacks to at most so much: a merged configuration and some names. */
const MAX_CONTENT = 1 << 20;
/** Longer contents are packed: that takes longer than all else about a ticket. Characters. */
const PACKED_FROM = 8192;
/** In front of contents that are not packed: the block type that DEFLATE reserves (RFC 1951 section 3.2.3). */
const PLAIN = Buffer.from([0x07]);

/** What changes during a session is not in its ticket; the worker tells it anew. */
type SealedSession = Omit<Session, 'counters' | 'mtu' | keyof Channels>;

export interface TicketContent {
  readonly client: number;
  readonly workerPid: number;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  readonly origRemoteIp: string;
  readonly acceptedAt: number;
  readonly session: SealedSession;
}

export class Tickets {
  readonly #key: KeyObject;

  /** `key`: 32 bytes, of main alone. */
  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key);
  }

  seal(client: Client, session: Session): Buffer {
    const {
      counters,
      mtu,
      tlsCipher,
      dtlsCipher,
      dtlsActive,
      cstpCompression,
      dtlsCompression,
      pid,
      ...lasting
    } = session;
    const content = {
      client: client.id,
      workerPid: client.worker.pid,
      remote: client.remote,
      local: client.local,
      origRemoteIp: client.origRemoteIp,
      acceptedAt: client.acceptedAt,
      session: { ...lasting, sid: base64(session.sid), dtlsSessionId: base64(session.dtlsSessionId) },
    };
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(DOMAIN);
    const sealed = cipher.update(encode(content));
    return Buffer.concat([nonce, sealed, cipher.final(), cipher.getAuthTag()]);
  }

  /** null: not sealed with this key, or changed since. */
  open(ticket: Uint8Array): TicketContent | null {
    if (ticket.length <= NONCE_BYTES + TAG_BYTES) return null;
    const nonce = ticket.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES }).setAAD(DOMAIN);
    decipher.setAuthTag(ticket.subarray(-TAG_BYTES));
    let bytes: Buffer;
    try {
      bytes = Buffer.concat([decipher.update(ticket.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch {
      // The tag does not fit: that is the answer.
      return null;
    }
    const content = decode(bytes) as TicketContent;
    const { session } = content;
    const sid = bytesOf(session.sid);
    return { ...content, session: { ...session, sid, dtlsSessionId: bytesOf(session.dtlsSessionId) } };
  }
}

function encode(content: unknown): Buffer {
  const text = JSON.stringify(content);
  return text.length < PACKED_FROM ? Buffer.concat([PLAIN, Buffer.from(text)]) : deflateRawSync(text);
}

function decode(bytes: Buffer): unknown {
  const isPlain = bytes[0] === PLAIN[0];
  const text = isPlain ? bytes.subarray(1) : inflateRawSync(bytes, { maxOutputLength: MAX_CONTENT });
  return JSON.parse(text.toString('utf8'));
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const bytesOf = (text: unknown): Buffer => Buffer.from(String(text), 'base64');
