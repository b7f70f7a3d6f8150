/** The virtual hosts of a worker: their options, certificates and TLS contexts. */
import { createHash, X509Certificate } from 'node:crypto';
import type { WorkerConfig, WorkerVhost } from '../config/worker-config.js';
import { VpnError } from '../errors.js';
import type { TlsServerContext } from '../native/tls-types.js';
import type { NativeBinding } from '../native/types.js';
import { certificateRequest } from '../session/login-ways.js';
import { tlsPolicy } from '../session/tls-policy.js';
import type { ProfileLink } from '../wire/auth-xml.js';
import { parseGroup } from '../wire/groups.js';
import type { SecmodLink } from './secmod-link.js';

export interface Vhost {
  readonly name: string;
  readonly options: WorkerVhost;
  readonly context: TlsServerContext;
  /** Of each key, by keyIndex. */
  readonly certificates: readonly LeafDigests[];
  readonly profile: Profile | null;
}

/** What names the certificate that clients are shown. */
export interface LeafDigests {
  /** Upper-case hex, for clients. */
  readonly sha1: string;
  /** For secmod. */
  readonly sha256: Uint8Array;
}

/** user-profile */
export interface Profile {
  readonly content: string;
  readonly link: ProfileLink;
}

/** One configuration's virtual hosts; a reload makes a new one, connections keep theirs. */
export class Vhosts {
  readonly config: WorkerConfig;
  readonly default: Vhost;
  readonly #byName: ReadonlyMap<string, Vhost>;

  constructor(config: WorkerConfig, vhosts: readonly [Vhost, ...Vhost[]]) {
    this.config = config;
    this.default = vhosts[0];
    this.#byName = new Map(vhosts.map((vhost) => [vhost.name, vhost]));
  }

  /** The vhost that SNI selected; the default one for any other name. */
  find(name: string): Vhost {
    return this.#byName.get(name) ?? this.default;
  }
}

/** Fetches the certificates of every vhost from secmod and makes the TLS contexts. */
export async function loadVhosts(
  native: NativeBinding,
  secmod: SecmodLink,
  config: WorkerConfig,
): Promise<Vhosts> {
  const [first, ...others] = config.vhosts;
  const defaultVhost = await loadVhost(native, secmod, first);
  const loaded: [Vhost, ...Vhost[]] = [defaultVhost];
  for (const options of others) {
    const vhost = await loadVhost(native, secmod, options);
    defaultVhost.context.addServerName(vhost.name, vhost.context, vhost.name);
    loaded.push(vhost);
  }
  return new Vhosts(config, loaded);
}

async function loadVhost(native: NativeBinding, secmod: SecmodLink, configured: WorkerVhost): Promise<Vhost> {
  const { name } = configured;
  const channel = await secmod.channel();
  const { chains, clientCa, ocspResponse } = (await channel.call('SEC_GET_PK', { vhost: name })).body;
  if (chains.length === 0) throw new VpnError('OCS_WORKER_CERTIFICATE', { vhost: name });
  const context = native.createTlsContext({
    certificateChains: chains,
    ...tlsPolicy(configured),
    clientCertificate: certificateRequest(configured),
    ca: clientCa,
    ocspResponse,
  });
  const { groups, profile } = (await channel.call('SEC_GET_VHOST', { vhost: name })).body;
  return {
    name,
    options: withGroups(configured, groups),
    context,
    certificates: chains.map(digestsOfLeaf),
    profile: profile && profileOf(profile.name, Buffer.from(profile.content)),
  };
}

/** auto-select-group: the groups of the back end beside those of select-group, which may have friendly names. */
function withGroups(options: WorkerVhost, groups: readonly string[]): WorkerVhost {
  const named = options['select-group'];
  const known = new Set(named.map((text) => parseGroup(text).value));
  return { ...options, 'select-group': [...named, ...groups.filter((group) => !known.has(group))] };
}

function profileOf(name: string, content: Buffer): Profile {
  const sha1 = createHash('sha1').update(content).digest('hex').toUpperCase();
  return { content: content.toString('utf8'), link: { name, sha1 } };
}

function digestsOfLeaf(chain: Uint8Array): LeafDigests {
  const { fingerprint, raw } = new X509Certificate(Buffer.from(chain));
  return { sha1: fingerprint.replaceAll(':', ''), sha256: createHash('sha256').update(raw).digest() };
}
