/** What is in a certificate, for people and as JSON. */
import { X509Certificate } from 'node:crypto';
import { certificatePin } from './pin.js';

export interface CertificateSummary {
  /** RFC 4514 order is not kept: as in the certificate, from the country downwards. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal, lower case. */
  readonly serialNumber: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  readonly isCa: boolean;
  /** 'EC prime256v1', 'RSA 3072', 'ed25519' */
  readonly key: string;
  /** Dotted OIDs of the extended key usage; empty: any purpose. */
  readonly purposes: readonly string[];
  readonly alternativeNames: readonly string[];
  /** Upper-case hex with colons. */
  readonly sha256: string;
  /** For openconnect's --servercert. */
  readonly pin: string;
}

/** The first certificate of a PEM text, or one in DER. Throws if there is none. */
export function describeCertificate(bytes: Buffer): CertificateSummary {
  const certificate = new X509Certificate(bytes);
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serialNumber: certificate.serialNumber.toLowerCase().replace(/^0+(?=.)/, ''),
    notBefore: certificate.validFromDate.toISOString(),
    notAfter: certificate.validToDate.toISOString(),
    isCa: certificate.ca,
    key: keyText(certificate),
    purposes: certificate.keyUsage ?? [],
    alternativeNames: certificate.subjectAltName?.split(', ') ?? [],
    sha256: certificate.fingerprint256,
    pin: certificatePin(certificate.raw),
  };
}

const oneLine = (name: string): string => name.replaceAll('\n', ', ');

function keyText({ publicKey }: X509Certificate): string {
  const { asymmetricKeyType: type = '', asymmetricKeyDetails: details } = publicKey;
  if (type === 'rsa') return `RSA ${details?.modulusLength}`;
  return type === 'ec' ? `EC ${details?.namedCurve}` : type;
}
