/**
 * The attributes that are sent or understood, as data. Names and numbers: RFC 2865, 2866, 2868, 2869, 3162, 4818, 5176,
 * 6911; vendors 311 (Microsoft, RFC 2548) and 10055 (Roaring Penguin).
 */

export type ValueType = 'text' | 'octets' | 'integer' | 'ipv4' | 'ipv6' | 'ipv6-prefix';

export interface AttributeSpec {
  readonly code: number;
  /** Absent: a standard attribute. */
  readonly vendor?: number;
  readonly type: ValueType;
  /** How the value is hidden with the shared secret: as User-Password, or salted (RFC 2868 §3.5). */
  readonly hidden?: 'password' | 'salted';
  /** A tag of one byte precedes the value. */
  readonly tagged?: boolean;
}

const MICROSOFT = 311;
const ROARING_PENGUIN = 10055;

export const dictionary = {
  'User-Name': { code: 1, type: 'text' },
  'User-Password': { code: 2, type: 'octets', hidden: 'password' },
  'NAS-IP-Address': { code: 4, type: 'ipv4' },
  'Service-Type': { code: 6, type: 'integer' },
  'Framed-Protocol': { code: 7, type: 'integer' },
  'Framed-IP-Address': { code: 8, type: 'ipv4' },
  'Framed-IP-Netmask': { code: 9, type: 'ipv4' },
  'Reply-Message': { code: 18, type: 'text' },
  'Framed-Route': { code: 22, type: 'text' },
  State: { code: 24, type: 'octets' },
  Class: { code: 25, type: 'octets' },
  'Session-Timeout': { code: 27, type: 'integer' },
  'Idle-Timeout': { code: 28, type: 'integer' },
  'Calling-Station-Id': { code: 31, type: 'text' },
  'NAS-Identifier': { code: 32, type: 'text' },
  'Proxy-State': { code: 33, type: 'octets' },
  'Acct-Status-Type': { code: 40, type: 'integer' },
  'Acct-Delay-Time': { code: 41, type: 'integer' },
  'Acct-Input-Octets': { code: 42, type: 'integer' },
  'Acct-Output-Octets': { code: 43, type: 'integer' },
  'Acct-Session-Id': { code: 44, type: 'text' },
  'Acct-Authentic': { code: 45, type: 'integer' },
  'Acct-Session-Time': { code: 46, type: 'integer' },
  'Acct-Terminate-Cause': { code: 49, type: 'integer' },
  'Acct-Input-Gigawords': { code: 52, type: 'integer' },
  'Acct-Output-Gigawords': { code: 53, type: 'integer' },
  'Event-Timestamp': { code: 55, type: 'integer' },
  'NAS-Port-Type': { code: 61, type: 'integer' },
  'Tunnel-Password': { code: 69, type: 'octets', hidden: 'salted', tagged: true },
  'Connect-Info': { code: 77, type: 'text' },
  'Message-Authenticator': { code: 80, type: 'octets' },
  'Acct-Interim-Interval': { code: 85, type: 'integer' },
  'NAS-IPv6-Address': { code: 95, type: 'ipv6' },
  'Framed-IPv6-Prefix': { code: 97, type: 'ipv6-prefix' },
  'Framed-IPv6-Route': { code: 99, type: 'text' },
  'Error-Cause': { code: 101, type: 'integer' },
  'Delegated-IPv6-Prefix': { code: 123, type: 'ipv6-prefix' },
  'Framed-IPv6-Address': { code: 168, type: 'ipv6' },
  'DNS-Server-IPv6-Address': { code: 169, type: 'ipv6' },
  'Route-IPv6-Information': { code: 170, type: 'ipv6-prefix' },
  'MS-MPPE-Send-Key': { code: 16, vendor: MICROSOFT, type: 'octets', hidden: 'salted' },
  'MS-Primary-DNS-Server': { code: 28, vendor: MICROSOFT, type: 'ipv4' },
  'MS-Secondary-DNS-Server': { code: 29, vendor: MICROSOFT, type: 'ipv4' },
  'RP-Upstream-Speed-Limit': { code: 1, vendor: ROARING_PENGUIN, type: 'integer' },
  'RP-Downstream-Speed-Limit': { code: 2, vendor: ROARING_PENGUIN, type: 'integer' },
} as const satisfies Readonly<Record<string, AttributeSpec>>;

export type AttributeName = keyof typeof dictionary;

export const codes = {
  accessRequest: 1,
  accessAccept: 2,
  accessReject: 3,
  accountingRequest: 4,
  accountingResponse: 5,
  accessChallenge: 11,
  statusServer: 12,
  disconnectRequest: 40,
  disconnectAck: 41,
  disconnectNak: 42,
  coaRequest: 43,
  coaAck: 44,
  coaNak: 45,
} as const;

/** Service-Type, Framed-Protocol, NAS-Port-Type, Acct-Status-Type, Acct-Authentic. */
export const serviceType = { framed: 2, authenticateOnly: 8 } as const;
export const FRAMED_PROTOCOL_PPP = 1;
export const NAS_PORT_ASYNC = 0;
export const ACCT_AUTHENTIC_RADIUS = 1;
export const acctStatus = { start: 1, stop: 2, interim: 3 } as const;
