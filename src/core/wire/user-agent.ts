/** User-Agent classes (reference protocol.md §2.1). */
export type AgentClass =
  | 'OC-V3'
  | 'OPENCONNECT'
  | 'ANYCONNECT'
  | 'CLAVISTER'
  | 'ANYLINK'
  | 'IPPHONE'
  | 'UNKNOWN';

export interface Agent {
  readonly name: AgentClass;
  /** AnyConnect on iOS: needs the 2000::/3 split include. */
  readonly ios: boolean;
}

/** Bytes of the header that are kept. */
export const MAX_USER_AGENT = 63;

const prefixes: readonly (readonly [prefix: string, agent: Agent])[] = [
  ['cisco anyconnect vpn agent for apple', { name: 'ANYCONNECT', ios: true }],
  ['openconnect vpn agent', { name: 'OPENCONNECT', ios: false }],
  ['cisco anyconnect', { name: 'ANYCONNECT', ios: false }],
  ['anyconnect-compatible openconnect', { name: 'OPENCONNECT', ios: false }],
  ['anyconnect', { name: 'ANYCONNECT', ios: false }],
  ['clavister oneconnect vpn', { name: 'CLAVISTER', ios: false }],
  ['anylink secure client', { name: 'ANYLINK', ios: false }],
  ['cisco svc ipphone client', { name: 'IPPHONE', ios: false }],
];

const OPEN_AGENT = 'open anyconnect vpn agent v';

/** Class of a client by the start of its User-Agent, in any case. */
export function classifyAgent(userAgent: string): Agent {
  const lower = userAgent.toLowerCase();
  if (lower.startsWith(OPEN_AGENT))
    return { name: openAgentClass(lower.slice(OPEN_AGENT.length)), ios: false };
  const found = prefixes.find(([prefix]) => lower.startsWith(prefix));
  return found ? found[1] : { name: 'UNKNOWN', ios: false };
}

/** Up to version 3 (or without a number) openconnect knew only the bare XML. */
function openAgentClass(version: string): AgentClass {
  const major = Number.parseInt(version, 10);
  return major > 3 ? 'OPENCONNECT' : 'OC-V3';
}
