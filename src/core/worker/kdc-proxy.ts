/** POST to a path of `kkdcp`: a question to a KDC that the client cannot reach. secmod asks it. */
import { type HttpReply, kdcUnreachable, kerberosReply } from '../wire/http-reply.js';
import { kdcProxyReply, parseKdcProxyMessage } from '../wire/kkdcp.js';
import type { SecmodCalls } from './secmod-calls.js';
import type { Vhost } from './vhosts.js';

export interface KdcProxyServices {
  readonly secmod: Pick<SecmodCalls, 'askKdc'>;
  /** Adds ban points to the client's address; false: it is banned now. */
  readonly ban: (points: number) => Promise<boolean>;
}

export interface KdcAnswer {
  readonly reply: HttpReply;
  /** Why the connection ends with it; null: it goes on. */
  readonly failure: string | null;
}

/** Whether a request is for a KDC; '' if not, else the path. */
export function kdcPath(vhost: Vhost, method: string, url: string): string {
  const [path = ''] = url.split('?', 1);
  return method === 'POST' && vhost.options.kkdcp.includes(path) ? path : '';
}

/** Answers such a request. Rejects when another process does not answer. */
export async function askKdc(
  vhost: Vhost,
  path: string,
  body: Uint8Array,
  { secmod, ban }: KdcProxyServices,
): Promise<KdcAnswer> {
  const points = vhost.options['ban-points-kkdcp'];
  if (points > 0 && !(await ban(points))) return refusal('Too many requests', 'banned for its KDC requests');
  const request = parseKdcProxyMessage(body);
  if (!request) return refusal('Not a Kerberos request', 'a KDC request that is none');
  const { reply, reason } = await secmod.askKdc(vhost.name, path, request);
  return reply ? { reply: kerberosReply(kdcProxyReply(reply)), failure: null } : refusal(reason, reason);
}

const refusal = (reason: string, failure: string): KdcAnswer => ({ reply: kdcUnreachable(reason), failure });
