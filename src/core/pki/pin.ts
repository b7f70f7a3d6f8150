/** The certificate pin that openconnect takes with --servercert. */
import { createHash, X509Certificate } from 'node:crypto';

/**
 * `pin-sha256:<base64>` of the first certificate in `pem`: SHA-256 over its SubjectPublicKeyInfo in DER
 * (RFC 7469 section 2.4). Throws if `pem` holds no certificate.
 */
export function certificatePin(pem: string | Uint8Array): string {
  const spki = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
  return `pin-sha256:${createHash('sha256').update(spki).digest('base64')}`;
}
