/** Certificates outside of handshakes: the part of the addon's contract (types.ts) that workers do not use. */

/** A certificate with its key and authorities for an import elsewhere; all of them in PEM. */
export interface Pkcs12Options {
  certificate: Uint8Array;
  key: Uint8Array;
  authorities: Uint8Array;
  password: string;
  /** Shown where the file is imported. */
  friendlyName: string;
  /** Triple DES and SHA-1 for importers that know nothing newer, instead of AES-256 and SHA-256. */
  legacy: boolean;
}

/** Verifies client certificates outside of a handshake. */
export interface CertificateVerifier {
  /**
   * Verifies a chain (DER, leaf first) against ca and crl as they were given: signatures, times, purpose clientAuth,
   * revocation. '' when it is good, else why not. A CA without a list in crl revokes nothing.
   */
  verify(chain: readonly Uint8Array[]): string;
}
