/** AUTH_COOKIE_REP of a session that is open. */
import type { Body } from '../ipc/messages.js';
import type { TunDevice } from '../native/types.js';
import type { Session } from './clients.js';

type Reply = NonNullable<Body<'AUTH_COOKIE_REP'>['session']>;

export interface LinkFacts {
  /** 0: no UDP. */
  readonly udpPort: number;
  /** MTU of the device, bytes. */
  readonly linkMtu: number;
  /** What the worker shows to the next main. */
  readonly ticket: Reply['ticket'];
}

/** What the worker is told; the tun descriptor goes with it. */
export function acceptedReply(
  session: Session,
  { config, sessionStartTime }: NonNullable<Body<'SECM_SESSION_REPLY'>['session']>,
  tun: TunDevice,
  { udpPort, linkMtu, ticket }: LinkFacts,
): Body<'AUTH_COOKIE_REP'> {
  const { ipv4, ipv6 } = session.lease;
  return {
    reply: 'OK',
    reason: '',
    session: {
      dtlsSessionId: Uint8Array.from(session.dtlsSessionId),
      sid: Uint8Array.from(session.sid),
      safeId: session.safeId,
      vname: tun.name,
      userName: session.userName,
      groupName: session.groupName,
      vhost: session.vhost,
      ipv4: ipv4?.address ?? null,
      ipv4Local: ipv4?.local ?? null,
      ipv4Netmask: ipv4?.netmask ?? null,
      ipv6: ipv6?.address ?? null,
      ipv6Local: ipv6?.local ?? null,
      ipv6Prefix: ipv6?.prefix ?? 0,
      ipv6Network: ipv6?.network ?? '',
      sessionStartTime,
      udpPort: config.noUdp ? 0 : udpPort,
      tunVnetHdr: tun.vnetHdr,
      tunTso: tun.tso,
      tunUso: tun.uso,
      linkMtu,
      config,
      ticket,
    },
  };
}
