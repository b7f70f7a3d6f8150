/** TLS of the addon: contexts, what a handshake found, and a connection (see types.ts). */

export interface TlsSuites {
  /** e.g. 'TLSv1.2'. */
  minVersion: 'TLSv1.2' | 'TLSv1.3';
  maxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list for TLS 1.2, suites for 1.3, groups; undefined: our defaults of today. */
  cipherList?: string;
  cipherSuites?: string;
  groups?: string;
  signatureAlgorithms?: string;
}

export interface TlsContextOptions extends TlsSuites {
  /** Certificate chains in PEM (leaf first), one per key; index = `keyIndex` of onSign. RSA and EC (and Ed25519). */
  certificateChains: readonly Uint8Array[];
  /** The server's order of suites decides; undefined: yes. */
  serverPreference?: boolean;
  clientCertificate: 'none' | 'request' | 'require';
  /** PEM bundle to verify client certificates, with `clientCertificate` other than none. */
  ca?: Uint8Array;
  /** OCSP response in DER; it is stapled to the certificate that it is about while it is valid. Absent or empty: none. */
  ocspResponse?: Uint8Array;
}

export interface TlsServerContext {
  /** Adds the context that serves this SNI name (vhost). The connection's `vhost` then is `vhost`. */
  addServerName(serverName: string, context: TlsServerContext, vhost: string): void;
  /**
   * Keys of the session tickets for new handshakes, here and under the server names: none, one or two of 80 bytes, one
   * after the other. The first seals, both open. Sessions may be resumed for `lifetimeSec`. TLS 1.3 only, and not where
   * clients are asked for certificates.
   */
  setTicketKeys(keys: Uint8Array, lifetimeSec: number): void;
}

export interface TlsInfo {
  /** 'TLSv1.3' */
  version: string;
  /** OpenSSL's name of the suite, e.g. 'TLS_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'. */
  cipher: string;
  /** 'X25519', 'secp256r1', … as OpenSSL names them; '' if none. */
  group: string;
  /** Signature scheme of the server's CertificateVerify/ServerKeyExchange as in the TLS registry, e.g. 0x0804; 0 if resumed. */
  signatureScheme: number;
  /** Which certificate the client knows: that of the first handshake, when this one resumed it. */
  keyIndex: number;
  serverName: string;
  vhost: string;
  resumed: boolean;
  /** RFC 5746 secure renegotiation. */
  secureRenegotiation: boolean;
  /** DER of the client certificate, null without one or when it did not verify; `verifyError` says why. */
  peerCertificate: Buffer | null;
  verifyError: string;
}

export interface TlsHandlers {
  /**
   * A private-key operation is wanted; answer with `completeSign(requestId, …)` at any later time.
   * `scheme` is the TLS SignatureScheme (RFC 8446 4.2.3; for TLS 1.2 the same code points), `data` the exact
   * bytes to be signed (TLS 1.3: 64 spaces + context + hash; TLS 1.2: randoms + ServerKeyExchange params).
   */
  onSign(requestId: number, vhost: string, keyIndex: number, scheme: number, data: Buffer): void;
  /** Handshake finished. */
  onSecure(info: TlsInfo): void;
  onData(data: Buffer): void;
  /** Peer sent close_notify or FIN after the handshake. */
  onEnd(): void;
  /** Output buffer has drained below the low-water mark. */
  onDrain(): void;
  /** Last call-back, always exactly once. `error` null for a clean end; `bytesRead` 0 means a TCP health probe. */
  onClose(error: Error | null, bytesRead: number): void;
}

export interface TlsConnection {
  completeSign(requestId: number, signature: Uint8Array | null): void;
  /** Queues plaintext. false: above the high-water mark, wait for onDrain. */
  write(data: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Flushes, close_notify, FIN. */
  end(): void;
  /** Flushes what was written, sends a fatal alert (49 access_denied) and closes. */
  endWithAlert(alert: number): void;
  /** Closes at once. */
  destroy(): void;
  info(): TlsInfo;
  /**
   * The handshake messages from ClientHello to the client's CertificateVerify; null when the client has shown no
   * certificate. Once: the copy is given away.
   */
  takeClientHandshake(): Buffer | null;
}
