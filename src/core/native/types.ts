/**
 * The contract between TypeScript and the C++ addon (native/src/napi).
 *
 * Theory of operation. Three groups of primitives, each as thin as it can be:
 *
 * - `io`: system calls that Node does not offer (descriptor passing, tun, netlink, packet-info UDP, peer credentials,
 *   privilege drop) and one event source (`Poller`, a uv_poll on a descriptor). Listeners and IPC are TypeScript on top.
 * - `TlsServerContext` / `TlsConnection`: TLS server side on the OpenSSL inside `node`. The connection owns
 *   the TCP descriptor from the first byte, polls it on the libuv loop, and asks for signatures through
 *   `onSign`: the private key is in secmod, never here.
 * - `Dataplane`: one epoll thread per process, or a native process per tunnel. `open()` moves a TLS connection
 *   there; from then on no packet touches JavaScript. Only rare events come back.
 *
 * Descriptors are plain numbers. A function that takes ownership of one says so. Failing system calls
 * throw an Error with `code` (errno name) and `syscall`.
 */
import type { CertificateVerifier, Pkcs12Options } from './certificate-types.js';
import type { LoginRecord } from './login-types.js';
import type { CallRule, PrivilegeDrop } from './sandbox-types.js';
import type {
  TlsConnection,
  TlsContextOptions,
  TlsHandlers,
  TlsServerContext,
  TlsSuites,
} from './tls-types.js';
import type { TunnelOptions } from './tunnel-types.js';

// ---------------------------------------------------------------- io

/** Among received descriptors: more came than this process could take (NativeIo.receiveMessage). */
export const LOST_FDS = -1;

/** Bit mask for `Poller`. */
export const READABLE = 1;
export const WRITABLE = 2;

export interface Poller {
  /** Events to wait for (READABLE | WRITABLE, 0 pauses). */
  set(events: number): void;
  /** Stops watching. Does not close the descriptor. Idempotent. */
  close(): void;
  /** Whether the poller keeps the process alive (default true). */
  ref(): void;
  unref(): void;
}

export interface SocketAddress {
  /** Text without zone, IPv4-mapped addresses already unmapped, '' for unix sockets; `scope`: link-local, the interface's index. */
  address: string;
  port: number;
  scope?: number;
}

export interface Accepted {
  fd: number;
  remote: SocketAddress;
  local: SocketAddress;
}

export interface ReceivedDatagram {
  data: Buffer;
  remote: SocketAddress;
  /** Local address that was hit (IP_PKTINFO / IPV6_PKTINFO); port of the listening socket. */
  local: SocketAddress;
}

export interface PeerCredentials {
  pid: number;
  uid: number;
  gid: number;
}

export interface TunOptions {
  /** Name pattern, e.g. 'vpns%d' (kernel picks the number) or an exact name. */
  name: string;
  /** uid that may attach to it; omitted: root only. */
  owner?: number;
  /** Ask for IFF_VNET_HDR and these offloads; each is probed and dropped when the kernel refuses. */
  vnetHdr: boolean;
  tso: boolean;
  uso: boolean;
  /** Packets that may wait in the device for a reader; omitted: the kernel's default (500). */
  txQueueLength?: number;
}

export interface TunDevice {
  fd: number;
  name: string;
  ifindex: number;
  /** What was granted. */
  vnetHdr: boolean;
  tso: boolean;
  uso: boolean;
}

export interface InterfaceConfig {
  ifindex: number;
  mtu: number;
  up: boolean;
  /** Point-to-point IPv4: local -> peer, or null. */
  ipv4: { local: string; peer: string } | null;
  /** IPv6: local/128 and a route to peer/prefix through the device, or null. */
  ipv6: { local: string; peer: string; prefix: number } | null;
}

export interface NativeIo {
  createPoller(fd: number, onEvents: (events: number) => void): Poller;
  close(fd: number): void;
  /** AF_UNIX SOCK_STREAM pair, both ends non-blocking and close-on-exec. */
  socketpair(): [number, number];
  /** Bound and listening unix stream socket; the path is created with the given mode. Stale socket files are the caller's affair. */
  listenUnix(path: string, mode: number): number;
  connectUnix(path: string): number;
  listenTcp(address: string, port: number, backlog: number): number;
  /** TCP_DEFER_ACCEPT: a connection is accepted when its first bytes are there, or after about `seconds` without any. */
  deferAccept(fd: number, seconds: number): void;
  /**
   * Makes a socket that a service manager passed like those of listenTcp and bindUdp, and tells what it is. ENOTSOCK when
   * the descriptor is something else.
   */
  adoptSocket(fd: number): { kind: 'tcp' | 'udp' | 'other'; local: SocketAddress };
  /** One datagram to a unix socket; a leading '@' stands for the abstract namespace. Never blocks (EAGAIN). */
  sendToUnix(path: string, text: string): void;
  /** Writes a session into utmp and wtmp; a file that is not there is left out. EAGAIN, and nothing done, when utmp is locked. */
  writeLogin(login: LoginRecord): void;
  /** null when nothing waits (EAGAIN). Works on TCP and unix listeners; the new descriptor is non-blocking, close-on-exec, TCP_NODELAY. */
  accept(fd: number): Accepted | null;
  /** Looks whether something has arrived, and takes nothing: null when not, false at the end of the stream. */
  hasBytes(fd: number): boolean | null;
  /** The peer has closed its side or the connection is broken, whatever still waits to be read. */
  hungUp(fd: number): boolean;
  /** Addresses of a connected socket (for descriptors that somebody else accepted). */
  socketAddresses(fd: number): { remote: SocketAddress; local: SocketAddress };
  peerCredentials(fd: number): PeerCredentials;
  /** Supplementary groups of the peer of a unix socket when it connected (SO_PEERGROUPS). */
  peerGroups(fd: number): number[];
  /** Unconnected UDP listener with packet info. */
  bindUdp(address: string, port: number): number;
  /** null on EAGAIN. Datagrams over 64 KiB cannot occur. */
  receiveDatagram(fd: number): ReceivedDatagram | null;
  /**
   * New UDP socket bound to `local` (SO_REUSEADDR so that it shares the listener's port) and connected to `remote`. A
   * filter keeps all others out until a session has it.
   */
  connectUdp(local: SocketAddress, remote: SocketAddress): number;
  /**
   * One sendmsg of `data` with at most 8 descriptors. Returns the bytes written (0 on EAGAIN).
   * Descriptors travel with the first byte; they are not closed here.
   */
  sendMessage(fd: number, data: Uint8Array, fds: readonly number[]): number;
  /**
   * One recvmsg into `room`. Returns the bytes that came, 0 at the end of the stream, -1 on EAGAIN. Descriptors are added to
   * `fds`, and after them LOST_FDS when more came than this process could take; those are closed.
   */
  receiveMessage(fd: number, room: Uint8Array, fds: number[]): number;
  openTun(options: TunOptions): TunDevice;
  /** Netlink: MTU, addresses, route, link state. */
  configureInterface(config: InterfaceConfig): void;
  setInterfaceMtu(ifindex: number, mtu: number): void;
  /** IPV6/IPv4 path MTU and MSS of a TCP socket from TCP_INFO: the smaller of pmtu and MSS + headers, bytes. */
  tcpPathMtu(fd: number): number;
  dropPrivileges(drop: PrivilegeDrop): void;
  /** Lowers this process's limits for good: so many descriptors, no core file, no message queues. */
  limitResources(descriptors: number): void;
  /** Lowers this process's limit of data (RLIMIT_DATA) for good to what it has now and `more` bytes. */
  limitMemory(more: number): void;
  /** Free pages of the C library's heaps go back to the kernel (malloc_trim). */
  trimMemory(): void;
  /** Takes every capability from all threads but these (numbers of CAP_*); programs that root executes have theirs. */
  keepCapabilities(capabilities: readonly number[]): void;
  /** Landlock over all threads: nothing can be opened, no TCP connection made. Needs dropPrivileges with lockdown. Does nothing without Landlock. */
  denyFilesAndNetwork(): void;
  /** Version of Landlock in this kernel, 0 without. */
  landlockVersion(): number;
  /** seccomp over all threads: only the calls of a worker that has loaded everything. */
  filterWorkerCalls(): void;
  filterSecmodCalls(needs: { exec: boolean; network: boolean }): void;
  /** io_uring cannot be set up any more, here and in programs executed from here; keepsPrivileges: without no_new_privs. */
  forbidRings(keepsPrivileges: boolean): void;
  /** Takes the close-on-exec mark off. */
  keepOnExec(fd: number): void;
  /** The rules of both filters with their reasons. */
  callRules(): CallRule[];
  /** net-priority: 0 leaves the socket alone, 1..6 set SO_PRIORITY, 0x20..0xff the TOS or traffic class byte. */
  setNetPriority(fd: number, priority: number): void;
  /** setns(2) of the calling thread alone, into the network namespace of this descriptor; it stays open. */
  setNetworkNamespace(fd: number): void;
  /** What this kernel offers: probed once. */
  probeOffloads(): {
    tunVnetHdr: boolean;
    tunTso: boolean;
    tunUso: boolean;
    udpSegment: boolean;
    udpGro: boolean;
  };
}

// ---------------------------------------------------------------- data plane

/** Disconnect reasons, numbered as ocserv's (reference ipc-and-processes §10). */
export type CloseReason =
  | 'unspecified'
  | 'user-disconnect'
  | 'server-disconnect'
  | 'idle-timeout'
  | 'dpd-timeout'
  | 'error'
  | 'session-timeout'
  | 'temporary-disconnect'
  | 'health-probe';

export type TunnelEvent =
  | { type: 'dtls-up'; id: number; version: string; cipher: string; milliseconds: number }
  | { type: 'dtls-down'; id: number; detail: string }
  /** UDP hand-over by address was adopted (roaming) or refused. */
  | { type: 'roamed'; id: number; accepted: boolean }
  | { type: 'mtu'; id: number; mtu: number }
  /** The client rekeys TLS 1.2 by renegotiation; as TlsHandlers.onSign, answer with Dataplane.completeSign within 20 s. */
  | { type: 'sign'; id: number; requestId: number; keyIndex: number; scheme: number; data: Buffer }
  | { type: 'closed'; id: number; reason: CloseReason; detail: string; counters: TunnelCounters };
/** The last: startTemplate()'s process failed; from now on processes of tunnels are forked from this one. `id` is 0. */
export type DataplaneEvent = TunnelEvent | { type: 'template-lost'; id: number; detail: string };

/** All counts since open; bytes are inner packet bytes. */
export interface TunnelCounters {
  rxBytes: number;
  rxPackets: number;
  txBytes: number;
  txPackets: number;
  rxTlsPackets: number;
  rxDtlsPackets: number;
  txTlsPackets: number;
  txDtlsPackets: number;
  dropsTooBig: number;
  dropsMalformed: number;
  dropsSource: number;
  dropsRateLimit: number;
  /** The client's TCP connection took less than came for it. */
  dropsStreamFull: number;
  dropsTunFull: number;
  dropsReplay: number;
  tunReads: number;
  tunSuperPackets: number;
  tunWrites: number;
  tunCoalesced: number;
  udpSends: number;
  udpSegmented: number;
  udpReceives: number;
  udpGroReceives: number;
  tlsWrites: number;
  /** Packets that came and went compressed; bytes that this saved on the way out. */
  rxCompressed: number;
  txCompressed: number;
  txCompressionSaved: number;
  /** Pure ACKs of the client that were dropped for a later one (OffloadSwitches.ackFilter). */
  acksFiltered: number;
  /** Milliseconds since the last data packet either way (ICMP and IGMP not counted). */
  idleMs: number;
  /** 1 while DTLS carries the data to the client. */
  dtlsActive: number;
}

export interface Dataplane {
  /** Once, confined and before the first client: forks what open() copies (session_template.h). Otherwise it forks this process. */
  startTemplate(): void;
  /**
   * Moves the connection (TLS state, TCP descriptor) into the packet loop; the JavaScript object is dead
   * afterwards and its onClose is not called. `head` is plaintext that JavaScript had read beyond the request.
   * `response` is the CONNECT reply, written as the first TLS data. Returns the tunnel's id.
   */
  open(connection: TlsConnection, response: Uint8Array, head: Uint8Array, options: TunnelOptions): number;
  /** Takes ownership of `fd`. `hello`: the datagram is a ClientHello; otherwise a record of a roamed client. */
  attachUdp(id: number, fd: number, hello: boolean, datagram: Uint8Array): void;
  /** 'disconnect': CSTP DISCONNECT then close; 'drop': close TCP without it, so that the client reconnects. */
  terminate(id: number, how: 'disconnect' | 'drop', reason: CloseReason): void;
  /** Answers a 'sign' event; null refuses, which ends the tunnel. The vhost is that of the connection. */
  completeSign(id: number, requestId: number, signature: Uint8Array | null): void;
  /** SIGKILL for the tunnel's own process, if it has one; its 'closed' event follows. */
  kill(id: number): void;
  counters(id: number): TunnelCounters;
  /**
   * Another number than before when data packets, their bytes, drops or dtlsActive have changed; liveness probes change
   * none of them. Far cheaper than reading the counters.
   */
  activity(id: number): number;
  /** The process that serves an open tunnel. */
  processId(id: number): number;
  /** Ends all tunnels as 'drop' and waits for that, 2 s at most. */
  close(): void;
}

export interface NativeBinding {
  io: NativeIo;
  /** `ca`: PEM bundle; `crl`: one list in DER, or any number in PEM. Throws when one of them holds nothing usable. */
  createCertificateVerifier(options: { ca: Uint8Array; crl?: Uint8Array }): CertificateVerifier;
  /** DER. Throws when one of the parts is unusable. */
  createPkcs12(options: Pkcs12Options): Buffer;
  createTlsContext(options: TlsContextOptions): TlsServerContext;
  /** What OpenSSL does not take of versions, suites, groups or signature algorithms; null: a context can have them. */
  checkTlsSuites(options: TlsSuites): string | null;
  /** Takes ownership of `fd`. */
  acceptTls(context: TlsServerContext, fd: number, handlers: TlsHandlers): TlsConnection;
  /**
   * `processes`: each tunnel gets a process of its own, made by open(), which ends with this one; false: all share a
   * thread. With processes, the thread that calls open() must be the only one that uses OpenSSL then.
   */
  createDataplane(onEvent: (event: DataplaneEvent) => void, processes: boolean): Dataplane;
}
