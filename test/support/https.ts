/** Exact HTTPS exchanges from a client's namespace, for what the stock client cannot be made to say. */
import { join } from 'node:path';
import { type Lab, outside } from './lab.ts';
import { SAMPLES, WARM_UP } from './timing.ts';
import type { TimedReply, TimingRequest } from './timing-peer.ts';

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
}
export interface Reply {
  /** Whole status line. */
  readonly status: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}
/** Input of https-peer.ts. */
export interface Exchange {
  readonly host: string;
  readonly port: number;
  readonly requests: readonly Request[];
  /** Waits this long after the last reply for the server to close. Milliseconds. */
  readonly lingerMs?: number;
}
export interface Outcome {
  readonly replies: readonly Reply[];
  /** How the connection ended: 'close', an error's code, 'still open' after lingerMs; undefined if not waited for. */
  readonly closed?: string;
}

const peer = join(import.meta.dirname, 'https-peer.ts');

/** Sends requests one after the other over one connection from client 0. */
export async function exchange(lab: Lab, requests: readonly Request[], lingerMs?: number): Promise<Outcome> {
  const input: Exchange = {
    host: outside.server4,
    port: 443,
    requests,
    ...(lingerMs === undefined ? {} : { lingerMs }),
  };
  const output = await lab.client().must([process.execPath, peer], {
    input: JSON.stringify(input),
    timeoutMs: 30_000 + (lingerMs ?? 0),
  });
  return JSON.parse(output) as Outcome;
}

const timingPeer = join(import.meta.dirname, 'timing-peer.ts');

/** Sends each of these requests, as they stand, so often that their times can be compared. */
export async function timeReplies(lab: Lab, requests: readonly string[]): Promise<TimedReply[]> {
  const input: TimingRequest = {
    host: outside.server4,
    port: 443,
    requests,
    rounds: SAMPLES,
    warmUp: WARM_UP,
  };
  const output = await lab.client().must([process.execPath, timingPeer], {
    input: JSON.stringify(input),
    timeoutMs: 120_000,
  });
  return JSON.parse(output) as TimedReply[];
}

const AGENT = ['User-Agent', 'Open AnyConnect VPN Agent v9.01'] as const;

/** POST of an aggregate-auth document. */
export function authPost(path: string, body: string): Request {
  const headers = [AGENT, ['X-Transcend-Version', '1'], ['X-Aggregate-Auth', '1']] as const;
  return { method: 'POST', path, headers: [...headers, ['Content-Type', 'application/xml']], body };
}

/** An auth-reply document with the given content of its auth element. */
export function authReply(content: string): string {
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="auth-reply">' +
    `<version who="vpn">v9.01</version><device-id>linux-64</device-id><auth>${content}</auth></config-auth>`
  );
}

/** A CONNECT request with the given cookie. */
export function connectRequest(cookie: string | undefined): Request {
  const cookies = cookie === undefined ? [] : [['Cookie', `webvpn=${cookie}`] as const];
  const headers = [AGENT, ...cookies, ['X-CSTP-Version', '1'], ['X-CSTP-Address-Type', 'IPv6,IPv4']] as const;
  return { method: 'CONNECT', path: '/CSCOSSLC/tunnel', headers };
}
