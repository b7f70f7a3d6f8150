/** What an Access-Accept says about the user: groups and, with groupconfig, the configuration of the session. */
import type { SessionSettings } from '../../../core/plugin-api/index.js';
import { serviceType } from './dictionary.js';
import { integerOf, type Packet, rawValues, textsOf } from './packet.js';

export type GroupSeparator = ';' | ',';

/** Framed-IP-Address: the user chooses, or the server; both mean the pool here (RFC 2865 §5.8). */
const NO_ADDRESS = new Set(['255.255.255.255', '255.255.255.254']);
const MAX_GROUP_BYTES = 64;
const MAX_GROUPS = 64;
const MAX_ROUTES = 256;
const MAX_DNS = 16;
/** DNS-Server-IPv6-Address: ocserv takes two. */
const MAX_DNS6 = 2;
const BYTES_PER_KILOBYTE = 1000;

/** An accepted login whose Service-Type is something else is not for a tunnel. */
export function isForTunnel(accept: Packet): boolean {
  const type = integerOf(accept, 'Service-Type');
  return type === undefined || type === serviceType.framed;
}

/**
 * Groups of Class: `OU=one;two`, or a name by itself. What is no text is left out: a Class may be anything that the
 * server wants to see again (RFC 2865 §5.25).
 */
export function groupsOf(accept: Packet, separator: GroupSeparator): string[] {
  const names = rawValues(accept, 'Class').flatMap((value) => {
    const text = printable(value);
    if (text === null) return [];
    const [, list] = /^OU=(.*)$/is.exec(text) ?? [];
    return list === undefined ? [text] : list.split(separator);
  });
  const usable = names.map((name) => name.trim()).filter(isGroupName);
  return [...new Set(usable)].slice(0, MAX_GROUPS);
}

/** Class as accounting sends it back (RFC 2865 §5.25): base64, separated by blanks. */
export function classesOf(accept: Packet): string {
  return rawValues(accept, 'Class')
    .map((value) => Buffer.from(value).toString('base64'))
    .join(' ');
}

function isGroupName(name: string): boolean {
  return name !== '' && Buffer.byteLength(name) <= MAX_GROUP_BYTES;
}

function printable(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return /\p{Cc}/u.test(text) ? null : text;
  } catch {
    return null;
  }
}

/**
 * Configuration of the session. `warn` is told what could not be used. Throws RangeError for a broken attribute: a login
 * without its restrictions would be worse than none.
 */
export function settingsOf(accept: Packet, warn: (problem: string) => void): SessionSettings {
  const one = (name: Parameters<typeof textsOf>[1]): string | undefined => textsOf(accept, name)[0];
  const ipv4 = textsOf(accept, 'Framed-IP-Address').find((address) => !NO_ADDRESS.has(address));
  return defined({
    ipv4,
    ipv4Netmask: ipv4 && one('Framed-IP-Netmask'),
    ipv6: one('Framed-IPv6-Address'),
    ipv6Network: one('Delegated-IPv6-Prefix'),
    routes: nonEmpty(bounded(routesOf(accept), MAX_ROUTES, 'routes', warn)),
    dns: nonEmpty(bounded(dnsOf(accept, warn), MAX_DNS, 'DNS servers', warn)),
    ...limitsOf(accept),
  });
}

/** Times and rates, which a CoA-Request may change, too. Throws RangeError for a broken attribute. */
export function limitsOf(packet: Packet): SessionSettings {
  return defined({
    sessionTimeoutSec: integerOf(packet, 'Session-Timeout'),
    idleTimeoutSec: integerOf(packet, 'Idle-Timeout'),
    statsReportTimeSec: integerOf(packet, 'Acct-Interim-Interval'),
    rxBytesPerSec: rate(integerOf(packet, 'RP-Upstream-Speed-Limit')),
    txBytesPerSec: rate(integerOf(packet, 'RP-Downstream-Speed-Limit')),
  });
}

/** Framed-Route is `net/length gateway metric…` (RFC 2865 §5.22), of which the network counts. */
function routesOf(accept: Packet): string[] {
  const written = [...textsOf(accept, 'Framed-Route'), ...textsOf(accept, 'Framed-IPv6-Route')];
  const networks = written.map((text) => text.trim().split(/\s+/)[0] ?? '').filter(Boolean);
  return [
    ...networks,
    ...textsOf(accept, 'Framed-IPv6-Prefix'),
    ...textsOf(accept, 'Route-IPv6-Information'),
  ];
}

function dnsOf(accept: Packet, warn: (problem: string) => void): string[] {
  const four = [...textsOf(accept, 'MS-Primary-DNS-Server'), ...textsOf(accept, 'MS-Secondary-DNS-Server')];
  const six = bounded(textsOf(accept, 'DNS-Server-IPv6-Address'), MAX_DNS6, 'DNS-Server-IPv6-Address', warn);
  return [...four, ...six];
}

function rate(kilobytes: number | undefined): number | undefined {
  return kilobytes === undefined ? undefined : kilobytes * BYTES_PER_KILOBYTE;
}

function bounded(values: string[], max: number, what: string, warn: (problem: string) => void): string[] {
  if (values.length > max) warn(`${values.length} ${what}, ${max} are taken`);
  return values.slice(0, max);
}

const nonEmpty = (values: string[]): string[] | undefined => (values.length === 0 ? undefined : values);

function defined(values: { [K in keyof SessionSettings]: SessionSettings[K] | undefined }): SessionSettings {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
