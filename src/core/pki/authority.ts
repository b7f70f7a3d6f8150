/**
 * A small certificate authority in a folder: `ca.crt` and `ca.key`, server certificates beside them, client certificates
 * in `clients/`, what is revoked in `crl.pem`. What `vpn cert` does; keys never leave the folder.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { isIP } from 'node:net';
import { basename, join } from 'node:path';
import { VpnError } from '../errors.js';
import { native } from '../native/index.js';
import { fileReason } from '../util/file-reason.js';
import { type CertificateSummary, describeCertificate } from './describe.js';
import { type ClientNames, type Issued, issueCa, issueClient, issueServer, type Validity } from './issue.js';
import type { KeyType } from './key-pair.js';
import { type CrlSummary, describeCrl, issueCrl, type Reason, type Revocation } from './revocation.js';

export interface MakeOptions {
  readonly folder: string;
  readonly keyType: KeyType;
  readonly days: number;
  /** Replaces what is there. */
  readonly force: boolean;
  /** Milliseconds since the epoch. */
  readonly nowMs?: number;
}

export interface Made {
  /** Paths, the certificate first. */
  readonly files: readonly string[];
  readonly certificate: CertificateSummary;
}

export interface MadeCrl {
  readonly files: readonly string[];
  readonly crl: CrlSummary;
}

const DAY_MS = 86_400_000;
/** So that a client whose clock is behind accepts a new certificate. */
const BACKDATE_MS = 3_600_000;
/** SEC_AUTH_INIT and sessions have names of so many bytes. */
const MAX_NAME = 64;

/** `ca.crt` and `ca.key`. Throws OCS_CERT_EXISTS. */
export async function makeCa(name: string | undefined, options: MakeOptions): Promise<Made> {
  const { keyType } = options;
  const issued = await issueCa(
    { key: null, keyType, ...(name !== undefined && { name }) },
    validity(options),
  );
  return store(issued, join(options.folder, 'ca'), options);
}

/** A server certificate for these names and addresses, named after the first one. */
export async function makeServer(names: readonly string[], options: MakeOptions): Promise<Made> {
  const ca = readCa(options.folder);
  const [first = ''] = names;
  const wanted = { dns: names.filter((name) => !isIP(name)), ip: names.filter((name) => isIP(name) > 0) };
  const issued = await issueServer(ca, null, wanted, within(ca, validity(options)), options.keyType);
  return store(issued, join(options.folder, fileName(first)), options);
}

/** A client certificate in `clients/`, named after its user. */
export async function makeClient(names: ClientNames, options: MakeOptions): Promise<Made> {
  for (const name of [names.userName, ...names.groups]) checkName(name);
  const ca = readCa(options.folder);
  const issued = await issueClient(ca, names, within(ca, validity(options)), options.keyType);
  return store(issued, clientBase(options.folder, names.userName), options);
}

/** A name that a login takes: not empty, not too long, without control characters. */
function checkName(name: string): void {
  if (name === '' || Buffer.byteLength(name) > MAX_NAME || /\p{Cc}/u.test(name))
    throw failed(`The name "${name}"`, `it must have 1 to ${MAX_NAME} bytes and no control characters`);
}

export interface CrlOptions extends Pick<MakeOptions, 'folder' | 'days' | 'nowMs'> {
  /** Users of `clients/`, or files of certificates. */
  readonly revoke: readonly string[];
  readonly reason: Reason;
}

/** Writes `crl.pem` anew: what it had, and what is revoked now. */
export async function makeCrl({
  folder,
  days,
  nowMs = Date.now(),
  revoke,
  reason,
}: CrlOptions): Promise<MadeCrl> {
  const ca = readCa(folder);
  const path = join(folder, 'crl.pem');
  const previous = existsSync(path) ? readFileSync(path, 'utf8') : null;
  const added = revoke.map((name): Revocation => ({ serialNumber: serialOf(folder, name, ca), reason }));
  const [from, until] = [new Date(nowMs), new Date(nowMs + days * DAY_MS)];
  const pem = await guarded(`The revocation list ${path}`, () => issueCrl(ca, previous, added, from, until));
  write(path, pem, 0o644, true);
  return { files: [path], crl: describeCrl(Buffer.from(pem)) };
}

/** Serial number of a certificate of this CA, by user or file. */
function serialOf(folder: string, name: string, ca: Issued): string {
  const own = `${clientBase(folder, name)}.crt`;
  const path = existsSync(own) ? own : name;
  const { serialNumber, issuer } = describeCertificate(readFile('certificate', path));
  const by = describeCertificate(Buffer.from(ca.certificate)).subject;
  if (issuer !== by) throw failed(`The certificate ${path}`, `it was issued by ${issuer}, not by ${by}`);
  return serialNumber;
}

export interface Pkcs12Request {
  readonly folder: string;
  readonly userName: string;
  readonly password: string;
  readonly legacy: boolean;
  readonly force: boolean;
}

/** The certificate of a user with its key and the CA in `clients/<user>.p12`. */
export function makePkcs12({ folder, userName, password, legacy, force }: Pkcs12Request): Made {
  if (password === '') throw new VpnError('OCS_PASSWORD', { reason: 'The password is empty' });
  const base = clientBase(folder, userName);
  const certificate = readFile('certificate', `${base}.crt`);
  const key = readFile('private key', `${base}.key`);
  const authorities = readFile('certificate', join(folder, 'ca.crt'));
  const parts = { certificate, key, authorities, password, friendlyName: userName, legacy };
  let der: Buffer;
  try {
    der = native.createPkcs12(parts);
  } catch (error) {
    throw failed(`The PKCS #12 file of ${userName}`, error);
  } finally {
    key.fill(0);
  }
  write(`${base}.p12`, der, 0o600, force);
  return { files: [`${base}.p12`], certificate: describeCertificate(certificate) };
}

/** What is in a file: a certificate or a revocation list. */
export function describeFile(path: string): CertificateSummary | CrlSummary {
  const bytes = readFile('certificate', path);
  const isList = bytes.includes('-----BEGIN X509 CRL-----');
  try {
    return isList ? describeCrl(bytes) : describeCertificate(bytes);
  } catch (error) {
    if (isList || bytes.includes('-----BEGIN')) throw failed(`The file ${path}`, error);
  }
  try {
    return describeCrl(bytes);
  } catch {
    throw failed(`The file ${path}`, 'it is neither a certificate nor a revocation list');
  }
}

// ---------------------------------------------------------------- files

const fileName = (name: string): string =>
  encodeURIComponent(name).replaceAll('%40', '@').replaceAll('%3A', ':');
const clientBase = (folder: string, user: string): string => join(folder, 'clients', fileName(user));

function readCa(folder: string): Issued {
  const [certificate, key] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  if (!existsSync(certificate) || !existsSync(key)) throw new VpnError('OCS_CERT_NO_CA', { folder });
  return {
    certificate: readFile('certificate', certificate).toString(),
    key: readFile('private key', key).toString(),
  };
}

function readFile(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = fileReason(error);
    throw new VpnError('OCS_FILE', { what, path, reason }, { cause: error });
  }
}

/** `<base>.crt` and `<base>.key`; neither when one of them is there. */
function store(issued: Issued, base: string, { folder, force }: MakeOptions): Made {
  const [certificate, key] = [`${base}.crt`, `${base}.key`];
  for (const path of [certificate, key])
    if (!force && existsSync(path)) throw new VpnError('OCS_CERT_EXISTS', { path });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  mkdirSync(join(base, '..'), { recursive: true, mode: 0o700 });
  write(key, issued.key, 0o600, force);
  write(certificate, issued.certificate, 0o644, force);
  return { files: [certificate, key], certificate: describeCertificate(Buffer.from(issued.certificate)) };
}

/** Complete or not at all; without `force` never over what somebody else has made meanwhile. */
function write(path: string, content: string | Buffer, mode: number, force: boolean): void {
  const target = force ? `${path}.new` : path;
  try {
    const fd = openSync(target, force ? 'w' : 'wx', mode);
    try {
      writeSync(fd, Buffer.from(content));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (force) renameSync(target, path);
  } catch (error) {
    const { code, message: reason } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new VpnError('OCS_CERT_EXISTS', { path });
    throw new VpnError('OCS_FILE', { what: 'file', path: basename(path), reason }, { cause: error });
  }
}

// ---------------------------------------------------------------- validity

function validity({ days, nowMs = Date.now() }: Pick<MakeOptions, 'days' | 'nowMs'>): Validity {
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + days * DAY_MS) };
}

/** Nothing outlives its CA. */
function within(ca: Issued, { notBefore, notAfter }: Validity): Validity {
  const end = new Date(describeCertificate(Buffer.from(ca.certificate)).notAfter);
  if (end <= notBefore) throw failed('The certificate authority', `it ended on ${end.toISOString()}`);
  return { notBefore, notAfter: end < notAfter ? end : notAfter };
}

async function guarded<T>(what: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw failed(what, error);
  }
}

function failed(what: string, cause: unknown): VpnError {
  const reason = fileReason(cause);
  return new VpnError('OCS_CERT', { what, reason }, { cause });
}
