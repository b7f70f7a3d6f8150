/**
 * The certificates of the embedded default: a CA of our own and one server certificate, below `<data-dir>/pki`.
 * Only secmod calls this; main reads the public server.crt for the pin.
 */
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { embeddedPaths } from '../config/embedded.js';
import { VpnError } from '../errors.js';
import { fileReason } from '../util/file-reason.js';
import { needDirectory } from '../util/make-directory.js';
import type { ServerNames } from './issue.js';

export interface PkiOptions {
  /** Milliseconds since the epoch. */
  readonly nowMs?: number;
  readonly names?: ServerNames;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3652;
/** The longest life that clients of Apple accept. */
const SERVER_DAYS = 825;
const RENEW_BEFORE_DAYS = 30;
/** So that a client whose clock is behind accepts a new certificate. */
const BACKDATE_MS = 3_600_000;
const MAX_ADDRESSES = 64;

/**
 * Makes what is missing and renews what nears its end or lacks one of the names; keys are kept, so that the pin
 * stays the same. Returns the names of the files that were written. Throws OCS_FILE for a file that is broken or cannot be written, OCS_DATA_DIR.
 */
export async function ensureEmbeddedPki(dataDir: string, options: PkiOptions = {}): Promise<string[]> {
  const paths = embeddedPaths(dataDir);
  const { nowMs = Date.now(), names = localNames() } = options;
  needDirectory('OCS_DATA_DIR', paths.pki, 0o700);
  // On a read-only file system what is there and right is enough.
  if ((statSync(paths.pki).mode & 0o777) !== 0o700) chmodSync(paths.pki, 0o700);
  const ca = readPair(paths.caCert, paths.caKey);
  const server = readPair(paths.serverCert, paths.serverKey);
  const goodCa = ca.cert && lastsBeyond(ca.cert, nowMs) ? ca.cert : null;
  if (goodCa && server.cert && isFit(server.cert, goodCa, nowMs, names)) return [];
  // 0.1 s to load, and needed once in two years.
  const { issueCa, issueServer } = await import('./issue.js');
  const written: string[] = [];
  const store = (path: string, pem: string): void => {
    writePrivately(path, pem);
    written.push(path);
  };
  let issuer = { certificate: goodCa?.toString() ?? '', key: ca.key ?? '' };
  if (!goodCa) {
    issuer = await issueCa({ key: ca.key }, validity(nowMs, CA_DAYS));
    if (issuer.key !== ca.key) store(paths.caKey, issuer.key);
    store(paths.caCert, issuer.certificate);
  }
  const issued = await issueServer(issuer, server.key, names, validity(nowMs, SERVER_DAYS));
  if (issued.key !== server.key) store(paths.serverKey, issued.key);
  store(paths.serverCert, issued.certificate);
  return written;
}

/** This machine's name, localhost, and all its addresses but link-local ones. */
export function localNames(): ServerNames {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const ip = addresses.map(({ address }) => address).filter((address) => !/^fe80:/i.test(address));
  const all = [...new Set(['127.0.0.1', '::1', ...ip])];
  return { dns: [...new Set([hostname(), 'localhost'])], ip: all.slice(0, MAX_ADDRESSES) };
}

function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}

function lastsBeyond(cert: X509Certificate, nowMs: number): boolean {
  return cert.validToDate.getTime() - nowMs > RENEW_BEFORE_DAYS * DAY_MS;
}

function isFit(cert: X509Certificate, ca: X509Certificate, nowMs: number, names: ServerNames): boolean {
  const named = names.dns.every((name) => cert.checkHost(name)) && names.ip.every((ip) => cert.checkIP(ip));
  return named && lastsBeyond(cert, nowMs) && cert.verify(ca.publicKey);
}

/** Certificate and key as they are; null for each that is missing. A certificate whose key is gone counts as missing. */
function readPair(certPath: string, keyPath: string): { cert: X509Certificate | null; key: string | null } {
  const key = existsSync(keyPath) ? readFileSync(keyPath, 'utf8') : null;
  if (key === null || !existsSync(certPath)) return { cert: null, key };
  try {
    return { cert: new X509Certificate(readFileSync(certPath)), key };
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what: 'certificate', path: certPath, reason }, { cause: error });
  }
}

/** Mode 0600, complete or not at all. */
function writePrivately(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what: 'certificate or key', path, reason }, { cause: error });
  }
}
