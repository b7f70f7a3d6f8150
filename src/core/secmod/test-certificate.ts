/** The client certificate of `vpn auth test`: from files, since there is no TLS handshake that could show one. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { CertificateHolder, ClientCertificate } from '../plugin-api/index.js';
import { fileReason } from '../util/file-reason.js';
import { certificateOf, NO_HOLDER } from './client-certificates.js';
import { loadClientTrust } from './client-trust.js';
import { certificateMethod, type LoginWay } from './ways.js';

/**
 * The chain in a file, DER, leaf first: PEM with any number of certificates, or DER with one. With `keyPath` the key must be
 * that of the leaf. Throws OCS_CERT.
 */
export function readCertificateFile(path: string, keyPath: string | undefined): Buffer[] {
  const chain = parsed(path, (bytes) => pemOrDer(bytes).map((one) => new X509Certificate(one)));
  const [leaf] = chain;
  if (keyPath !== undefined && !leaf?.checkPrivateKey(parsed(keyPath, createPrivateKey)))
    throw new VpnError('OCS_CERT', { what: keyPath, reason: `it is not the key of ${path}` });
  return chain.map(({ raw }) => raw);
}

function pemOrDer(bytes: Buffer): (Buffer | string)[] {
  const pem = bytes.toString('latin1').match(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs);
  return pem ?? [bytes];
}

function parsed<T>(path: string, parse: (bytes: Buffer) => T): T {
  try {
    return parse(readFileSync(path));
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_CERT', { what: path, reason }, { cause: error });
  }
}

export interface JudgedCertificate {
  readonly certificate: ClientCertificate;
  readonly holder: CertificateHolder;
}

/** What secmod would say of a client that shows this chain, and holds its key: why not, or whose it is. Throws OCS_FILE. */
export function judgeChain(
  vhost: VhostConfig,
  ways: readonly LoginWay[],
  chain: readonly Uint8Array[],
): JudgedCertificate | string {
  const [method, trust] = [certificateMethod(ways), loadClientTrust(vhost)];
  if (!method || !trust) return 'the virtual host has no method that takes certificates';
  const problem = trust.verifier.verify(chain);
  if (problem) return problem;
  const certificate = certificateOf(vhost, chain[0] ?? Buffer.alloc(0));
  const holder = method.backend.holderOf?.(certificate);
  return holder ? { certificate, holder } : NO_HOLDER;
}
