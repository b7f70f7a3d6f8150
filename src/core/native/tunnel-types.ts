/** What a tunnel of the data plane is opened with; the C++ side is native/src/dataplane/options.h. */

export interface OffloadSwitches {
  /** Segment vnet super-packets, one record per segment, all in one sendmsg with UDP_SEGMENT. */
  udpSegment: boolean;
  udpGro: boolean;
  /** Coalesce decrypted TCP (and UDP, where USO is there) segments into one vnet-header write. */
  tunCoalesce: boolean;
  /** Batch CSTP records into few writes. */
  tlsBatch: boolean;
  /** While many packets come, wait up to 0.15 ms for more of them before a turn of the packet loop. */
  turnPace: boolean;
  /** Drop pure TCP ACKs that a later one of the same burst repeats (needs tunCoalesce). */
  ackFilter: boolean;
  /** Seal and open data of DTLS and TLS 1.3 with AES-GCM without OpenSSL's record layer; handshakes and alerts stay there. */
  ownRecords: boolean;
  /** Over DTLS, hold the tun for 0.1 ms at a time while a burst is above what the client took lately. */
  sendPace: boolean;
  /** Over TLS, let packets wait where small ones of other flows pass them, not in the socket. */
  streamRoom: boolean;
}

interface DtlsOptions {
  /** 'psk': PSK-NEGOTIATE, key from the TLS exporter; 'legacy': resumption of X-DTLS-Master-Secret. */
  mode: 'psk' | 'legacy';
  /** OpenSSL cipher list (psk) or the one suite's OpenSSL name (legacy). */
  ciphers: string;
  /** legacy only: 48 and 32 bytes. */
  masterSecret?: Uint8Array;
  sessionId?: Uint8Array;
}

export interface TunnelOptions {
  /** Takes ownership. */
  tunFd: number;
  tunVnetHdr: boolean;
  tunTso: boolean;
  tunUso: boolean;
  /** Inner packet limit, bytes (X-CSTP-MTU). */
  dataMtu: number;
  /** Absolute limit to which DPD probes may raise the MTU. */
  maxDataMtu: number;
  dtls: DtlsOptions | null;
  /** Compression of each channel, null: none; packets shorter than the limit (bytes) are sent as they are. */
  cstpCompression: 'oc-lz4' | 'lzs' | null;
  dtlsCompression: 'oc-lz4' | 'lzs' | null;
  noCompressLimit: number;
  /** UDP with the DF bit and a search for the path MTU; false: fragments are allowed. */
  mtuDiscovery: boolean;
  /** SO_SNDBUF of the sockets, bytes; 0: as the system has it. */
  sendBufferBytes: number;
  dpdSec: number;
  keepaliveSec: number;
  idleTimeoutSec: number;
  /** Seconds from now until the session ends, 0 none. */
  sessionTimeoutSec: number;
  switchToTcpSec: number;
  /** Rekey: 0 off. */
  rekeySec: number;
  /** Bytes per second, 0 unlimited; rx is from the client. */
  rxBytesPerSec: number;
  txBytesPerSec: number;
  offloads: OffloadSwitches;
  /** Addresses that this client may use as inner source; null: any. Others are dropped and counted. */
  clientIpv4: string | null;
  clientIpv6: { address: string; prefix: number } | null;
  /** Address of the inner gateway, source of ICMP errors. */
  localIpv4: string | null;
  localIpv6: string | null;
}
