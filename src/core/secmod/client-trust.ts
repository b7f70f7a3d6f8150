/** ca-cert and crl: which client certificates a virtual host takes. */
import { hash, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { CertificateVerifier } from '../native/certificate-types.js';
import { native } from '../native/index.js';
import { fileReason } from '../util/file-reason.js';
import { forgetOldest } from '../util/forget-oldest.js';

export interface ClientTrust {
  /** The file of ca-cert, PEM. */
  readonly ca: Buffer;
  readonly verifier: CertificateVerifier;
  readonly keys: LeafKeys;
}

/** Certificates whose keys are remembered. */
const MAX_KEYS = 256;

/** Public keys of the certificates that were shown last: a key that was taken out once is checked against sooner. */
export class LeafKeys {
  /** By the hash of the certificate, longest unused first. */
  readonly #known = new Map<string, KeyObject>();

  /** `der`: of the certificate. Says nothing about whether it is to be trusted. Throws if it is none. */
  of(der: Uint8Array): KeyObject {
    const id = hash('sha256', der, 'base64');
    const key = this.#known.get(id) ?? new X509Certificate(der).publicKey;
    this.#known.delete(id);
    this.#known.set(id, key);
    forgetOldest(this.#known, MAX_KEYS);
    return key;
  }
}

/** SEC_GET_PK_REP carries so much of ca-cert. */
const MAX_CA_BYTES = 192 * 1024;
/** And of ocsp-response. */
const MAX_OCSP_BYTES = 16 * 1024;

/** Reads the files; null without ca-cert. @throws VpnError OCS_FILE */
export function loadClientTrust(vhost: VhostConfig): ClientTrust | null {
  const { 'ca-cert': caPath, crl: crlPath } = vhost;
  if (caPath === '') return null;
  const ca = readBounded('ca-cert', caPath, MAX_CA_BYTES);
  // First without the list, so that an error names the right file.
  const plain = made('ca-cert', caPath, () => native.createCertificateVerifier({ ca }));
  const keys = new LeafKeys();
  if (crlPath === '') return { ca, verifier: plain, keys };
  const crl = read('crl', crlPath);
  return { ca, verifier: made('crl', crlPath, () => native.createCertificateVerifier({ ca, crl })), keys };
}

/** The file of ocsp-response; empty without one. @throws VpnError OCS_FILE */
export function loadOcspResponse({ 'ocsp-response': path }: VhostConfig): Buffer {
  return path === '' ? Buffer.alloc(0) : readBounded('ocsp-response', path, MAX_OCSP_BYTES);
}

function readBounded(what: string, path: string, max: number): Buffer {
  const bytes = read(what, path);
  if (bytes.length <= max) return bytes;
  throw new VpnError('OCS_FILE', {
    what,
    path,
    reason: `it has ${bytes.length} bytes, ${max} are the limit`,
  });
}

const read = (what: string, path: string): Buffer => made(what, path, () => readFileSync(path));

function made<T>(what: string, path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what, path, reason }, { cause: error });
  }
}
