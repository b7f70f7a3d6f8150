/** The record of a session whose tunnel is about to open. */
import { randomBytes } from 'node:crypto';
import type { Body } from '../ipc/messages.js';
import type { TunDevice } from '../native/types.js';
import { noDrops, type Session, UNTOLD, ZERO } from './clients.js';
import type { Lease } from './leases.js';

/** Default MTU of a tun device, the start of the MTU arithmetic (reference protocol §9.1). */
export const LINK_MTU = 1500;

/** What secmod says about the owner of a cookie. */
export type OpenedSession = NonNullable<Body<'SECM_SESSION_REPLY'>['session']>;

/** `now`: seconds since the epoch. */
export function newSession(
  request: Body<'AUTH_COOKIE_REQ'>,
  opened: OpenedSession,
  { lease, tun, now }: { readonly lease: Lease; readonly tun: TunDevice; readonly now: number },
): Session {
  return {
    sid: Uint8Array.from(opened.sid),
    safeId: opened.safeId,
    userName: opened.userName,
    groupName: opened.groupName,
    vhost: opened.vhost,
    userAgent: opened.userAgent,
    devicePlatform: opened.devicePlatform,
    deviceType: opened.deviceType,
    hostname: request.hostname,
    login: {
      ip: opened.ip,
      ipv4Seed: opened.ipv4Seed,
      tlsAuthOk: opened.tlsAuthOk,
      devicePlatform: opened.devicePlatform,
      deviceType: opened.deviceType,
    },
    config: opened.config,
    lease,
    tunName: tun.name,
    ifindex: tun.ifindex,
    dtlsSessionId: randomBytes(32),
    startedAt: opened.sessionStartTime,
    connectedAt: now,
    mtu: LINK_MTU,
    ...UNTOLD,
    counters: { ...ZERO },
    drops: noDrops(),
    awaitsBaseline: false,
  };
}
