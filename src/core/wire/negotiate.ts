/** HTTP's Negotiate (RFC 4559) as clients of this protocol speak it (reference protocol.md §4.6). */
import { header, type RequestHeaders } from './connect-request.js';
import type { Header, HttpReply } from './http-reply.js';

/** What a request says about Negotiate. */
export interface Negotiation {
  /** The client can do it, or would like to. */
  readonly offered: boolean;
  /** null: it has sent none. */
  readonly token: Buffer | null;
}

export const NO_NEGOTIATION: Negotiation = { offered: false, token: null };

const AUTHORIZATION = /^Negotiate\s+([A-Za-z0-9+/]*={0,2})\s*$/i;

/** A header that is not of this form counts as none. */
export function parseNegotiation(headers: RequestHeaders): Negotiation {
  const text = AUTHORIZATION.exec(header(headers, 'Authorization'))?.[1];
  const token = text ? Buffer.from(text, 'base64') : null;
  return { offered: token !== null || header(headers, 'X-Support-HTTP-Auth') !== '', token };
}

/** 401 that asks for a token. `token`: ours for the client; `fallback`: there is another way to log in. */
export function negotiateChallenge(token: Uint8Array | null, fallback: boolean): HttpReply {
  const support: Header[] = fallback ? [['X-HTTP-Auth-Support', 'fallback']] : [];
  const headers = [...support, negotiateHeader(token), ['Content-Length', '0']] as const;
  return { status: 401, reason: 'Unauthorized', headers, body: '', after: 'keep' };
}

export function negotiateHeader(token: Uint8Array | null): Header {
  const text = token?.length ? ` ${Buffer.from(token).toString('base64')}` : '';
  return ['WWW-Authenticate', `Negotiate${text}`];
}
