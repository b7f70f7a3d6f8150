/** radcli's configuration: radiusclient.conf and the file of secrets that it names, read as data. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';

export type MessageAuthenticatorPolicy = 'required' | 'auto' | 'off';

export interface ServerAddress {
  /** Address or name. */
  readonly host: string;
  readonly port: number;
  readonly secret: Uint8Array;
}

export interface RadiusConfig {
  readonly authServers: readonly ServerAddress[];
  readonly acctServers: readonly ServerAddress[];
  /** Wait for a reply to one transmission. */
  readonly timeoutMs: number;
  /** Transmissions after the first. */
  readonly retries: number;
  /** How long a server that did not answer is asked last. 0: it keeps its place. */
  readonly deadTimeMs: number;
  readonly nasIdentifier: string;
  /** Overrides the address that the client reached. */
  readonly nasIp: string | null;
  readonly bindAddress: string | null;
  /** Added to user names without an @; '' without. */
  readonly defaultRealm: string;
  readonly messageAuthenticator: MessageAuthenticatorPolicy;
  /** null: UDP. */
  readonly tls: TlsFiles | null;
}

/** For serv-type tls: RadSec (RFC 6614). */
export interface TlsFiles {
  readonly ca: Buffer;
  /** Ours, for servers that ask for it; PEM. */
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
  /** The certificate must name the server as authserver does. */
  readonly verifyHostname: boolean;
}

const AUTH_PORT = 1812;
const ACCT_PORT = 1813;
const RADSEC_PORT = 2083;
/** RFC 6614 §2.3. */
const RADSEC_SECRET = 'radsec';
const DEFAULT_TIMEOUT_SEC = 10;
const DEFAULT_RETRIES = 3;

const KNOWN = new Set([
  'authserver',
  'acctserver',
  'servers',
  'radius_timeout',
  'radius_retries',
  'radius_deadtime',
  'nas-identifier',
  'nas-ip',
  'bindaddr',
  'default_realm',
  'require-message-authenticator',
  'serv-type',
  'tls-ca-file',
  'tls-cert-file',
  'tls-key-file',
  'tls-verify-hostname',
]);
/** Options of radcli's programs, not of a RADIUS client; and its dictionary, which is built in here. */
const WITHOUT_MEANING = new Set([
  'auth_order',
  'clientdebug',
  'dictionary',
  'issue',
  'login_local',
  'login_radius',
  'login_timeout',
  'login_tries',
  'mapfile',
  'nologin',
  'radius_proto',
  'seqfile',
  'use-public-addr',
]);
const MESSAGE_AUTHENTICATOR: Readonly<Record<string, MessageAuthenticatorPolicy>> = {
  yes: 'required',
  no: 'off',
  auto: 'auto',
};

type Settings = ReadonlyMap<string, readonly string[]>;

/** Reads the files. Throws Error with a sentence that names the file and the line. */
export function readRadiusConfig(path: string): RadiusConfig {
  const settings = parseSettings(path);
  const one = (name: string): string | undefined => settings.get(name)?.at(-1);
  const tls = readTlsFiles(path, one);
  const secrets = tls ? null : readSecrets(path, settings);
  const servers = (name: string, port: number): ServerAddress[] =>
    (settings.get(name) ?? [])
      .flatMap((value) => value.split(/[\s,]+/))
      .filter(Boolean)
      .map((text) => serverAddress(path, text, tls ? RADSEC_PORT : port, secrets));
  const policy = MESSAGE_AUTHENTICATOR[one('require-message-authenticator') ?? 'auto'];
  if (!policy) throw new Error(`${path}: require-message-authenticator must be yes, no or auto`);
  const [nasIp, bind] = ['nas-ip', 'bindaddr'].map((name) => address(path, name, one(name)));
  return {
    authServers: servers('authserver', AUTH_PORT),
    // As radcli: with TLS all packets go to the same port (RFC 6614 §2.1).
    acctServers: tls ? servers('authserver', ACCT_PORT) : servers('acctserver', ACCT_PORT),
    timeoutMs: number(path, 'radius_timeout', one('radius_timeout'), DEFAULT_TIMEOUT_SEC, 1, 120) * 1000,
    retries: number(path, 'radius_retries', one('radius_retries'), DEFAULT_RETRIES, 0, 20),
    deadTimeMs: number(path, 'radius_deadtime', one('radius_deadtime'), 0, 0, 86_400) * 1000,
    nasIdentifier: one('nas-identifier') ?? hostname(),
    nasIp: nasIp ?? null,
    bindAddress: bind ?? null,
    defaultRealm: one('default_realm') ?? '',
    messageAuthenticator: policy,
    tls,
  };
}

function lines(path: string): { number: number; text: string }[] {
  const all = readFileSync(path, 'utf8').split('\n');
  return all
    .map((text, index) => ({ number: index + 1, text: text.trim() }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'));
}

function parseSettings(path: string): Settings {
  const settings = new Map<string, string[]>();
  for (const { number: line, text } of lines(path)) {
    const [, written = '', value = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? [];
    const name = written.toLowerCase();
    if (name === 'serv-type' && value !== 'udp' && value !== 'tls') {
      throw new Error(`${path}:${line}: serv-type ${value} is not supported, only udp and tls`);
    }
    if (WITHOUT_MEANING.has(name)) continue;
    if (!KNOWN.has(name)) throw new Error(`${path}:${line}: there is no option ${written}`);
    if (value !== '') settings.set(name, [...(settings.get(name) ?? []), value]);
  }
  return settings;
}

/** null for UDP. */
function readTlsFiles(path: string, one: (name: string) => string | undefined): TlsFiles | null {
  if (one('serv-type') !== 'tls') return null;
  const read = (name: string): Buffer | null => {
    const file = one(name);
    return file === undefined ? null : readFileSync(resolve(dirname(path), file));
  };
  const [ca, cert, key] = [read('tls-ca-file'), read('tls-cert-file'), read('tls-key-file')];
  if (!ca) throw new Error(`${path}: serv-type tls needs tls-ca-file`);
  if (!cert !== !key) throw new Error(`${path}: tls-cert-file and tls-key-file belong together`);
  return { ca, cert, key, verifyHostname: one('tls-verify-hostname') !== 'false' };
}

/** Host to secret. The names are looked up as they are written in authserver and acctserver. */
function readSecrets(path: string, settings: Settings): ReadonlyMap<string, string> {
  const secrets = new Map<string, string>();
  const named = settings.get('servers')?.at(-1);
  if (named === undefined) return secrets;
  const file = resolve(dirname(path), named);
  for (const { number: line, text } of lines(file)) {
    const [host, secret, surplus] = text.split(/\s+/);
    if (host === undefined || secret === undefined || (surplus !== undefined && !surplus.startsWith('#'))) {
      throw new Error(`${file}:${line}: a line is "host secret"`);
    }
    secrets.set(bare(host), secret);
  }
  return secrets;
}

/** `host`, `host:port`, `host:port:secret`; an IPv6 address with a port stands in brackets. */
function serverAddress(
  path: string,
  text: string,
  defaultPort: number,
  /** null: TLS, where the secret is known to everybody. */
  secrets: ReadonlyMap<string, string> | null,
): ServerAddress {
  const pattern = /^(\[[^\]]+\]|[^:]+)(?::(\d*))?(?::(.+))?$/;
  const [, host = '', portText, ownSecret] = isIP(text) === 6 ? ['', text] : (pattern.exec(text) ?? []);
  // The secret is not repeated in the message.
  if (host === '') throw new Error(`${path}: a server is not of the form host:port:secret`);
  const port = number(path, `the port of ${host}`, portText || undefined, defaultPort, 1, 65_535);
  if (!secrets && ownSecret)
    throw new Error(`${path}: serv-type tls has no secrets, and PSK is not supported`);
  const secret = secrets ? (ownSecret ?? secrets.get(bare(host))) : RADSEC_SECRET;
  if (!secret) throw new Error(`${path}: there is no secret for the server ${host}`);
  return { host: bare(host), port, secret: Buffer.from(secret) };
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1').toLowerCase();

function address(path: string, name: string, value: string | undefined): string | null {
  if (value === undefined || value === '*') return null;
  if (isIP(value) === 0) throw new Error(`${path}: ${name} ${value} is not an address`);
  return value;
}

function number(
  path: string,
  name: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return fallback;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new Error(`${path}: ${name} must be ${min}…${max}`);
  return value;
}
