/** Environment of connect-, disconnect- and host-update-script (reference ipc-and-processes §8). */
import { parsePorts } from '../config/fw-ports.js';
import type { Client, Session } from './clients.js';

export type ScriptReason = 'connect' | 'host-update' | 'disconnect';

/** What is known when a session has ended. */
export interface SessionTotals {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly seconds: number;
}

type Variables = Record<string, string>;

/** The variables of one call, without the server's own environment. Values of the client are not escaped. */
export function scriptEnv(
  reason: ScriptReason,
  client: Pick<Client, 'id' | 'remote' | 'local'>,
  session: Session,
  totals: SessionTotals | null = null,
): Variables {
  return {
    REASON: reason,
    // As `vpn ctl` and occtl show it; ocserv's is a pid, which is not one session's alone here.
    ID: String(client.id),
    USERNAME: session.userName,
    GROUPNAME: session.groupName,
    VHOST: session.vhost,
    DEVICE: session.tunName,
    IP_REAL: client.remote.address,
    IP_REAL_LOCAL: client.local.address,
    HOSTNAME: session.hostname,
    REMOTE_HOSTNAME: session.hostname,
    USER_AGENT: session.userAgent,
    DEVICE_TYPE: session.deviceType,
    DEVICE_PLATFORM: session.devicePlatform,
    ...addresses(session),
    ...networks(session),
    ...restrictions(session),
    ...(totals && {
      STATS_BYTES_IN: String(totals.bytesIn),
      STATS_BYTES_OUT: String(totals.bytesOut),
      STATS_DURATION: String(totals.seconds),
    }),
  };
}

function addresses({ lease: { ipv4, ipv6 } }: Session): Variables {
  return {
    ...(ipv4 && { IP_LOCAL: ipv4.local, IP_REMOTE: ipv4.address }),
    ...(ipv6 && { IPV6_LOCAL: ipv6.local, IPV6_REMOTE: ipv6.address, IPV6_PREFIX: String(ipv6.prefix) }),
  };
}

function networks({ config }: Session): Variables {
  return {
    ...byFamily('OCSERV_ROUTES', config.routes),
    ...byFamily('OCSERV_NO_ROUTES', config.noRoutes),
    ...byFamily('OCSERV_DNS', config.dns),
  };
}

/** NAME with all, NAME4 and NAME6 with those of a family; each only if there is any. */
function byFamily(name: string, values: readonly string[]): Variables {
  return {
    ...variable(name, values),
    ...variable(
      `${name}4`,
      values.filter((value) => !value.includes(':')),
    ),
    ...variable(
      `${name}6`,
      values.filter((value) => value.includes(':')),
    ),
  };
}

/** Each value is followed by a blank, also the last: scripts of ocserv's users cut it off. */
const variable = (name: string, values: readonly string[]): Variables =>
  values.length === 0 ? {} : { [name]: values.map((value) => `${value} `).join('') };

function restrictions({ config }: Session): Variables {
  const ports = parsePorts(config.restrictUserToPorts);
  const rules = ports?.rules.map(({ protocol, port }) => `${protocol} ${port ?? 'all'}`) ?? [];
  return {
    ...(config.restrictUserToRoutes && { OCSERV_RESTRICT_TO_ROUTES: '1' }),
    ...variable(ports?.negated ? 'OCSERV_DENY_PORTS' : 'OCSERV_ALLOW_PORTS', rules),
  };
}
