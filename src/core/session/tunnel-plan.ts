/**
 * What follows from a granted session and a CONNECT request: the reply and the data plane's options. Pure: time and
 * chance come in as arguments.
 */
import type { Body } from '../ipc/messages.js';
import type { TlsInfo } from '../native/tls-types.js';
import type { OffloadSwitches, TunnelOptions } from '../native/tunnel-types.js';
import { chooseEncoding, type Encoding } from '../wire/compression.js';
import type { ClientIdentity, ConnectRequest } from '../wire/connect-request.js';
import { type ConnectReplyInput, connectReply } from '../wire/connect-response.js';
import { chooseDtls, type DtlsChoice } from '../wire/dtls-choice.js';
import { fillNames, parseHeaders } from '../wire/extra-headers.js';
import { type Mtu, negotiateMtu } from '../wire/mtu.js';
import { permittedSuites, type TlsPolicySettings, tlsPolicy } from './tls-policy.js';

export type Session = NonNullable<Body<'AUTH_COOKIE_REP'>['session']>;

/** What of a vhost's options the tunnel needs. */
export interface TunnelSettings extends TlsPolicySettings {
  readonly 'dtls-psk': boolean;
  readonly 'dtls-legacy': boolean;
  readonly 'rekey-time': number;
  readonly 'rekey-method': string;
  readonly 'switch-to-tcp-timeout': number;
  readonly offload: boolean;
  readonly 'ack-filter': boolean;
  readonly 'match-tls-dtls-ciphers': boolean;
  readonly 'try-mtu-discovery': boolean;
  readonly 'output-buffer': number;
  readonly compression: boolean;
  readonly 'compression-algo-priority': string;
  readonly 'no-compress-limit': number;
  readonly 'listen-host-is-dyndns': boolean;
  readonly 'proxy-url': string;
  readonly 'custom-header': readonly string[];
  readonly 'included-http-headers': readonly string[];
}

export interface PlanInput {
  readonly session: Session;
  readonly request: ConnectRequest;
  readonly identity: ClientIdentity;
  readonly settings: TunnelSettings;
  readonly tls: Pick<TlsInfo, 'version' | 'cipher' | 'secureRenegotiation'>;
  /** The client's address is IPv6. */
  readonly outerIpv6: boolean;
  /** Bytes, 0: unknown. */
  readonly tcpPathMtu: number;
  /** Seconds since the epoch. */
  readonly nowSec: number;
  /** 0 ≤ random < 1, for the rekey time. */
  readonly random: number;
}

export interface TunnelPlan {
  /** The whole CONNECT reply. */
  readonly reply: Buffer;
  readonly options: Omit<TunnelOptions, 'tunFd'>;
  readonly mtu: Mtu;
  readonly dtls: DtlsChoice | null;
  readonly encodings: Encodings;
}

/** Rekey times of sessions are spread by this much either way, seconds; short ones by a quarter of them. */
const REKEY_FUZZ_SEC = 30;
const MIN_SEND_BUFFER = 2048;

export function planTunnel(input: PlanInput): TunnelPlan | { readonly error: string } {
  const { session, request, settings, tls } = input;
  const udp = session.udpPort !== 0 && !session.config.noUdp;
  const dtls = chooseDtls(request, { udp, ...dtlsPolicy(settings) }, tls.cipher);
  const ipv4 = request.ipv4 ? ipv4Of(session) : null;
  const wantedIpv6 = wantsIpv6(input) ? ipv6Of(session) : null;
  const mtu = negotiateMtu({
    configuredMtu: session.config.mtu,
    deviceMtu: session.linkMtu,
    baseMtu: request.baseMtu,
    cstpMtu: request.cstpMtu,
    tcpPathMtu: input.tcpPathMtu,
    outerIpv6: input.outerIpv6,
    innerIpv6: wantedIpv6 !== null,
    dtls: dtls !== null,
  });
  const ipv6 = mtu.ipv6Fits ? wantedIpv6 : null;
  if (!ipv4 && !ipv6) return { error: 'no address of a family that the client accepts' };
  const timers = timersOf(input);
  const encodings = encodingsOf(input, dtls !== null);
  const reply = connectReply({ ...replyText(input), ...timers, ...encodings, ipv4, ipv6, dtls, mtu });
  const options = optionsOf(input, { ipv4, ipv6, dtls, mtu, timers, encodings });
  return { reply, options, mtu, dtls, encodings };
}

/** Cisco's clients know no PSK-NEGOTIATE, so what is for them brings the legacy mode with it. */
function dtlsPolicy(settings: TunnelSettings) {
  return {
    psk: settings['dtls-psk'],
    legacy: settings['dtls-legacy'] || settings['cisco-client-compat'] || settings['cisco-svc-client-compat'],
    matchTls: settings['match-tls-dtls-ciphers'],
    suites: permittedSuites(tlsPolicy(settings)),
  };
}

interface Encodings {
  readonly cstpEncoding: Encoding | null;
  readonly dtlsEncoding: Encoding | null;
}

function encodingsOf({ request, settings }: PlanInput, dtls: boolean): Encodings {
  const choose = (accepted: readonly string[]): Encoding | null =>
    settings.compression ? chooseEncoding(accepted, settings['compression-algo-priority']) : null;
  return {
    cstpEncoding: choose(request.cstpEncodings),
    dtlsEncoding: dtls ? choose(request.dtlsEncodings) : null,
  };
}

/** openconnect up to v3 cannot do IPv6 (reference §2.1). */
export const wantsIpv6 = ({ request, identity }: Pick<PlanInput, 'request' | 'identity'>): boolean =>
  request.ipv6 && identity.agent.name !== 'OC-V3';

type Ipv4 = NonNullable<ConnectReplyInput['ipv4']>;
type Ipv6 = NonNullable<ConnectReplyInput['ipv6']>;

function ipv4Of({ ipv4, ipv4Netmask }: Session): Ipv4 | null {
  return ipv4 && ipv4Netmask ? { address: ipv4, netmask: ipv4Netmask } : null;
}

function ipv6Of({ ipv6, ipv6Prefix, ipv6Network }: Session): Ipv6 | null {
  return ipv6 ? { address: ipv6, prefix: ipv6Prefix, network: ipv6Network } : null;
}

type Timers = Pick<
  ConnectReplyInput,
  'dpdSec' | 'keepaliveSec' | 'idleTimeoutSec' | 'sessionTimeoutSec' | 'sessionRemainingSec' | 'rekey'
>;

function timersOf(input: PlanInput): Timers {
  const { config, sessionStartTime } = input.session;
  const { mobile } = input.identity;
  const elapsed = Math.max(0, input.nowSec - sessionStartTime);
  return {
    dpdSec: mobile ? config.mobileDpdSec : config.dpdSec,
    keepaliveSec: config.keepaliveSec,
    idleTimeoutSec: (mobile && config.mobileIdleTimeoutSec) || config.idleTimeoutSec,
    sessionTimeoutSec: config.sessionTimeoutSec,
    // At least a second, because 0 would mean no limit.
    sessionRemainingSec: config.sessionTimeoutSec && Math.max(1, config.sessionTimeoutSec - elapsed),
    rekey: rekeyOf(input),
  };
}

function rekeyOf({ settings, tls, random }: PlanInput): ConnectReplyInput['rekey'] {
  const time = settings['rekey-time'];
  if (time === 0) return null;
  const fuzz = Math.min(REKEY_FUZZ_SEC, Math.floor(time / 4));
  const timeSec = time - fuzz + Math.floor(random * (2 * fuzz + 1));
  const inPlace =
    settings['rekey-method'] === 'ssl' && (tls.version === 'TLSv1.3' || tls.secureRenegotiation);
  return { timeSec, method: inPlace ? 'ssl' : 'new-tunnel' };
}

function replyText({ session, request, identity, settings }: PlanInput) {
  const { config } = session;
  const fill = (text: string): string => fillNames(text, session.userName, session.groupName);
  return {
    dynDns: settings['listen-host-is-dyndns'],
    proxyUrl: fill(settings['proxy-url']),
    includedHeaders: parseHeaders(settings['included-http-headers']),
    customHeaders: parseHeaders(settings['custom-header'].map(fill)),
    hostname: config.hostname || request.hostname,
    agent: identity.agent.name,
    ios: identity.ios,
    fullIpv6: request.fullIpv6,
    defaultDomain: config.defaultDomain,
    dns: config.dns,
    nbns: config.nbns,
    splitDns: config.splitDns,
    routes: config.routes,
    noRoutes: config.noRoutes,
    tunnelAllDns: config.tunnelAllDns,
    clientBypassProtocol: config.clientBypassProtocol,
    udpPort: session.udpPort,
    dtlsSessionId: session.dtlsSessionId,
    banner: config.banner,
  };
}

interface Chosen {
  readonly ipv4: Ipv4 | null;
  readonly ipv6: Ipv6 | null;
  readonly dtls: DtlsChoice | null;
  readonly mtu: Mtu;
  readonly timers: Timers;
  readonly encodings: Encodings;
}

function optionsOf(
  input: PlanInput,
  { ipv4, ipv6, dtls, mtu, timers, encodings }: Chosen,
): Omit<TunnelOptions, 'tunFd'> {
  const { session, settings } = input;
  // Networks behind the client (iroute) are legal inner sources.
  const anySource = session.config.iroutes.length > 0;
  return {
    tunVnetHdr: session.tunVnetHdr,
    tunTso: session.tunTso,
    tunUso: session.tunUso,
    dataMtu: mtu.data,
    maxDataMtu: mtu.maxData,
    dtls: dtls && dtlsOptions(dtls, session.dtlsSessionId),
    cstpCompression: encodings.cstpEncoding,
    dtlsCompression: encodings.dtlsEncoding,
    noCompressLimit: settings['no-compress-limit'],
    mtuDiscovery: settings['try-mtu-discovery'],
    sendBufferBytes: sendBuffer(settings['output-buffer'], mtu.link),
    dpdSec: timers.dpdSec,
    keepaliveSec: timers.keepaliveSec,
    idleTimeoutSec: timers.idleTimeoutSec,
    sessionTimeoutSec: timers.sessionRemainingSec,
    switchToTcpSec: settings['switch-to-tcp-timeout'],
    rekeySec: timers.rekey?.timeSec ?? 0,
    rxBytesPerSec: session.config.rxBytesPerSec,
    txBytesPerSec: session.config.txBytesPerSec,
    offloads: offloads(settings),
    clientIpv4: anySource ? null : (ipv4?.address ?? null),
    clientIpv6: anySource ? null : ipv6 && { address: ipv6.address, prefix: ipv6.prefix },
    localIpv4: session.ipv4Local,
    localIpv6: session.ipv6Local,
  };
}

/** Bytes, 0: as the system has it. Below a packet or two nothing would move (ocserv's bound). */
const sendBuffer = (packets: number, linkMtu: number): number =>
  packets === 0 ? 0 : Math.max(MIN_SEND_BUFFER, packets * linkMtu);

const offloads = ({ offload: on, 'ack-filter': ackFilter }: TunnelSettings): OffloadSwitches => ({
  udpSegment: on,
  udpGro: on,
  tunCoalesce: on,
  tlsBatch: on,
  turnPace: on,
  ackFilter: on && ackFilter,
  ownRecords: on,
  sendPace: on,
  streamRoom: on,
});

function dtlsOptions(dtls: DtlsChoice, sessionId: Uint8Array): NonNullable<TunnelOptions['dtls']> {
  if (dtls.mode === 'psk') return { mode: 'psk', ciphers: dtls.ciphers };
  return { mode: 'legacy', ciphers: dtls.suite.openssl, masterSecret: dtls.masterSecret, sessionId };
}
