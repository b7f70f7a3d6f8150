/** The messages of ocserv's control socket (reference ipc-and-processes §7): numbers, and tables of fields. */
import type { Field, FieldType, MessageFields } from './protobuf.js';

const field = (number: number, type: FieldType): Field => ({ number, type });
const uint = (number: number) => field(number, 'uint');
const bool = (number: number) => field(number, 'bool');
const string = (number: number) => field(number, 'string');
const strings = (number: number): Field => ({ number, type: 'string', repeated: true });
const messages = (number: number, fields: MessageFields): Field => ({
  number,
  type: 'message',
  repeated: true,
  fields,
});

/** Request number → name, and the number and body of its reply. */
export const requests = {
  STATUS: 1,
  RELOAD: 2,
  STOP: 3,
  LIST: 4,
  USER_INFO: 5,
  ID_INFO: 6,
  DISCONNECT_NAME: 7,
  DISCONNECT_ID: 8,
  LIST_BANNED: 9,
  UNBAN_IP: 10,
  TOP: 11,
  LIST_COOKIES: 12,
  TERMINATE_USER: 13,
  TERMINATE_ID: 14,
  TERMINATE_SESSION: 15,
} as const;

export const replies = {
  STATUS: 101,
  RELOAD: 102,
  STOP: 103,
  LIST: 104,
  DISCONNECT_NAME: 105,
  DISCONNECT_ID: 106,
  UNBAN_IP: 107,
  LIST_BANNED: 108,
  TOP: 109,
  LIST_COOKIES: 110,
  TERMINATE_USER: 111,
  TERMINATE_ID: 112,
  TERMINATE_SESSION: 113,
} as const;

export type OcctlRequest = keyof typeof requests;
export type OcctlReply = keyof typeof replies;

export const nameRequest = { name: string(1) };
export const idRequest = { id: field(1, 'sint') };
export const bytesRequest = { bytes: field(1, 'bytes') };

export const boolReply = { status: bool(1) };

export const statusReply = {
  status: bool(1),
  pid: uint(2),
  secModPids: { number: 3, type: 'uint', repeated: true },
  activeClients: uint(4),
  startTime: uint(5),
  storedTlsSessions: uint(7),
  bannedIps: uint(8),
  secmodClientEntries: uint(9),
  sessionTimeouts: uint(10),
  sessionIdleTimeouts: uint(11),
  sessionErrors: uint(12),
  sessionsClosed: uint(13),
  kbytesIn: uint(14),
  kbytesOut: uint(15),
  minMtu: uint(16),
  maxMtu: uint(17),
  lastReset: uint(18),
  avgAuthTime: uint(19),
  avgSessionMins: uint(20),
  maxAuthTime: uint(21),
  maxSessionMins: uint(22),
  authFailures: uint(23),
  totalSessionsClosed: uint(24),
  totalAuthFailures: uint(25),
} as const satisfies MessageFields;

const fwPort = { port: uint(1), proto: uint(2), negate: bool(3) };

/** The remote end is the one that the client sees: ours. */
export const userInfo = {
  id: field(1, 'sint'),
  username: string(2),
  groupname: string(3),
  ip: string(4),
  tun: string(5),
  remoteIp: string(6),
  localIp: string(7),
  remoteIp6: string(8),
  localIp6: string(9),
  connTime: uint(10),
  hostname: string(11),
  userAgent: string(12),
  status: uint(13),
  tlsCiphersuite: string(14),
  dtlsCiphersuite: string(15),
  rxPerSec: uint(16),
  txPerSec: uint(17),
  dns: strings(18),
  nbns: strings(19),
  routes: strings(20),
  iroutes: strings(21),
  mtu: uint(22),
  cstpCompr: string(23),
  dtlsCompr: string(24),
  noRoutes: strings(25),
  localDevIp: string(26),
  domains: strings(27),
  dpd: uint(28),
  keepalive: uint(29),
  restrictToRoutes: bool(30),
  fwPorts: messages(31, fwPort),
  safeId: field(32, 'bytes'),
  vhost: string(33),
  sessionStartTime: uint(34),
} as const satisfies MessageFields;

export const userList = { user: messages(1, userInfo) };

const banInfo = { ip: field(1, 'bytes'), score: uint(2), expires: uint(3) };
export const banList = { info: messages(1, banInfo) };

export const topUpdate = {
  connected: bool(1),
  disconReason: uint(2),
  disconReasonText: string(3),
  user: { number: 4, type: 'message', fields: userList },
} as const satisfies MessageFields;

const cookie = {
  safeId: field(1, 'bytes'),
  sessionIsOpen: bool(2),
  tlsAuthOk: bool(3),
  created: uint(4),
  username: string(5),
  groupname: string(6),
  userAgent: string(7),
  remoteIp: string(8),
  expires: uint(9),
  status: uint(10),
  inUse: uint(11),
  vhost: string(12),
};
export const cookieList = { cookies: messages(1, cookie) };
