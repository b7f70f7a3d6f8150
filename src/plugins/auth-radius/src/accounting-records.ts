/** Sessions as Accounting-Requests (RFC 2866, RFC 2869 §5.1, §5.2). Pure. */
import { isIPv6 } from 'node:net';
import type { AccountedSession, SessionUsage, StopReason } from '../../../core/plugin-api/index.js';
import {
  ACCT_AUTHENTIC_RADIUS,
  type AttributeName,
  acctStatus,
  dictionary,
  FRAMED_PROTOCOL_PPP,
  serviceType,
} from './dictionary.js';
import type { Attribute } from './packet.js';
import type { RadiusConfig } from './radcli-conf.js';
import { connectInfo, nasAttributes, withRealm } from './request.js';
import type { AcctRecord } from './spool.js';

/** Acct-Terminate-Cause (RFC 2866 §5.10). */
const TERMINATE_CAUSE: Readonly<Record<StopReason, number>> = {
  'user-disconnect': 1,
  'dpd-timeout': 2,
  other: 3,
  'idle-timeout': 4,
  'session-timeout': 5,
  'server-disconnect': 6,
  error: 17,
};
const GIGAWORD = 2 ** 32;

export function startRecord(config: RadiusConfig, session: AccountedSession, at: number): AcctRecord {
  return record(config, 'start', session, at, connectInfo(session.userAgent));
}

export function interimRecord(
  config: RadiusConfig,
  session: AccountedSession,
  usage: SessionUsage,
  at: number,
): AcctRecord {
  return record(config, 'interim', session, at, usageAttributes(usage));
}

export function stopRecord(
  config: RadiusConfig,
  session: AccountedSession,
  usage: SessionUsage,
  reason: StopReason,
  at: number,
): AcctRecord {
  const cause: Attribute = ['Acct-Terminate-Cause', TERMINATE_CAUSE[reason]];
  return record(config, 'stop', session, at, [...usageAttributes(usage), cause]);
}

function record(
  config: RadiusConfig,
  status: AcctRecord['status'],
  session: AccountedSession,
  at: number,
  more: readonly Attribute[],
): AcctRecord {
  const { sessionId, userName, remoteIp, ourIp, ipv4, ipv6, accountingState } = session;
  // A whole prefix is not an address that Framed-IPv6-Address could hold.
  const [address6 = '', length = '128'] = ipv6.split('/');
  const framed6: Attribute[] =
    address6 !== '' && isIPv6(address6)
      ? [length === '128' ? ['Framed-IPv6-Address', address6] : ['Delegated-IPv6-Prefix', ipv6]]
      : [];
  const attributes: Attribute[] = [
    ['Acct-Status-Type', acctStatus[status]],
    ...nasAttributes(config, ourIp),
    ['User-Name', withRealm(userName, config)],
    ['Service-Type', serviceType.framed],
    ['Framed-Protocol', FRAMED_PROTOCOL_PPP],
    ...(ipv4 === '' ? [] : [['Framed-IP-Address', ipv4] as const]),
    ...framed6,
    ['Calling-Station-Id', remoteIp],
    ['Acct-Session-Id', sessionId],
    ['Acct-Authentic', ACCT_AUTHENTIC_RADIUS],
    ...accountingState
      .split(' ')
      .filter(Boolean)
      .map((value): Attribute => ['Class', value]),
    ...more,
  ];
  return { status, sessionId, at, attributes: attributes as AcctRecord['attributes'] };
}

/** Input is what came from the client (RFC 2866 §5.3). */
function usageAttributes({ seconds, bytesIn, bytesOut }: SessionUsage): Attribute[] {
  return [
    ['Acct-Session-Time', seconds],
    ['Acct-Input-Octets', bytesIn % GIGAWORD],
    ['Acct-Output-Octets', bytesOut % GIGAWORD],
    ['Acct-Input-Gigawords', Math.floor(bytesIn / GIGAWORD)],
    ['Acct-Output-Gigawords', Math.floor(bytesOut / GIGAWORD)],
  ];
}

/** The attributes of a stored record as sent at `now`: names that the dictionary does not have are left out. */
export function attributesAt(stored: AcctRecord, now: number): Attribute[] {
  const known = stored.attributes.filter((pair): pair is readonly [AttributeName, string | number] =>
    Object.hasOwn(dictionary, pair[0]),
  );
  // JSON has no bytes.
  const sent = known.map(
    ([name, value]): Attribute =>
      name === 'Class' ? [name, Buffer.from(String(value), 'base64')] : [name, value],
  );
  return [...sent, ['Event-Timestamp', stored.at], ['Acct-Delay-Time', Math.max(0, now - stored.at)]];
}
