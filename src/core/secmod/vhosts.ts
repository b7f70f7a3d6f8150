/** The virtual hosts as secmod runs them: configuration, keys and back end of each. */
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { type Iroutes, readIroutes } from '../config/exposed-iroutes.js';
import { needsRestart, reloaded } from '../config/reload.js';
import type { ServerConfig, VhostConfig } from '../config/schema.js';
import type { Logger } from '../log.js';
import type { AccountedSession, AccountingBackend, SessionSettings } from '../plugin-api/index.js';
import { createAccounting } from './backends.js';
import { type ClientTrust, loadClientTrust, loadOcspResponse } from './client-trust.js';
import { datesProblem, loadKeys, type ServerKey } from './keys.js';
import type { AuthPlugins } from './plugins.js';
import { loadProfile, type Profile } from './profile.js';
import { RetiredKeys } from './retired-keys.js';
import { closeWays, type LoginWay, makeWays } from './ways.js';

export interface Vhost {
  readonly config: VhostConfig;
  readonly keys: readonly ServerKey[];
  /** null without ca-cert. */
  readonly clientTrust: ClientTrust | null;
  /** The file of ocsp-response, DER; empty without one. */
  readonly ocspResponse: Buffer;
  /** The file of user-profile. */
  readonly profile: Profile | null;
  /** Networks behind the clients, for expose-iroutes. */
  readonly iroutes: Iroutes;
  /** By `way` of SEC_AUTH_INIT. */
  readonly ways: readonly LoginWay[];
  /** null without `acct`. */
  readonly accounting: AccountingBackend | null;
}

export interface VhostServices {
  readonly plugins: AuthPlugins;
  /** Directory of what must outlive the process. */
  readonly stateDir: string;
  readonly log: Logger;
}

type Matches = (session: AccountedSession) => boolean;
type EndSessions = (vhost: string, matches: Matches) => Promise<number>;
type ChangeSessions = (vhost: string, matches: Matches, change: SessionSettings) => Promise<number>;

export class Vhosts {
  readonly #services: VhostServices;
  #config: ServerConfig;
  #byName: ReadonlyMap<string, Vhost> = new Map();
  readonly #retired = new RetiredKeys();
  /** Ends sessions for an accounting back end; set by what has the sessions. */
  endSessions: EndSessions = async () => 0;
  changeSessions: ChangeSessions = async () => 0;

  private constructor(services: VhostServices, config: ServerConfig) {
    this.#services = services;
    this.#config = config;
  }

  /** Reads all keys and makes all back ends. Throws errors of the catalogue. */
  static async load(config: ServerConfig, services: VhostServices): Promise<Vhosts> {
    const vhosts = new Vhosts(services, config);
    vhosts.#byName = await vhosts.#build(config);
    return vhosts;
  }

  get config(): ServerConfig {
    return this.#config;
  }

  get names(): string[] {
    return [...this.#byName.keys()];
  }

  get(name: string): Vhost | undefined {
    return this.#byName.get(name);
  }

  /**
   * Takes over what a reload may change and reads all keys again; back ends that run stay. On an error, which is
   * thrown, everything stays as it was. `nowMs`: since the epoch.
   */
  async reload(fresh: ServerConfig, nowMs: number): Promise<void> {
    const next = reloaded(this.#config, fresh);
    const byName = await this.#build(next);
    const ignored = needsRestart(this.#config.default, fresh.default);
    if (ignored.length > 0)
      this.#services.log.warn({ options: ignored }, 'changed options that need a restart');
    const gone = [...this.#byName].filter(([name]) => !byName.has(name));
    this.#retired.replace(this.#byName, byName, nowMs);
    this.#config = next;
    this.#byName = byName;
    for (const [, vhost] of gone) await closeBackends(vhost);
  }

  /** Private key to a public one (SHA-256, hex) of this virtual host, for a while also of one that a reload replaced. */
  signingKey(vhost: string, fingerprint: string): KeyObject | undefined {
    const current = this.#byName.get(vhost)?.keys.find((key) => key.fingerprint === fingerprint);
    return current?.privateKey ?? this.#retired.find(vhost, fingerprint);
  }

  /** Forgets replaced keys when no handshake can need them any more. `nowMs`: since the epoch. */
  expire(nowMs: number): void {
    this.#retired.expire(nowMs);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#byName.values()].map(closeBackends));
  }

  async #build(config: ServerConfig): Promise<Map<string, Vhost>> {
    const byName = new Map<string, Vhost>();
    for (const vhost of [config.default, ...config.vhosts.values()]) {
      const keys = loadKeys(vhost);
      this.#tellDates(vhost, keys);
      const clientTrust = loadClientTrust(vhost);
      const ocspResponse = loadOcspResponse(vhost);
      const profile = loadProfile(vhost['user-profile']);
      const iroutes = readIroutes(vhost, (problem) =>
        this.#services.log.warn({ vhost: vhost.name }, problem),
      );
      const { ways, accounting } = this.#byName.get(vhost.name) ?? (await this.#backends(vhost));
      const files = { keys, clientTrust, ocspResponse, profile, iroutes };
      byName.set(vhost.name, { config: vhost, ...files, ways, accounting });
    }
    return byName;
  }

  #tellDates(vhost: VhostConfig, keys: readonly ServerKey[]): void {
    for (const [index, key] of keys.entries()) {
      const reason = datesProblem(key, Date.now());
      const certificate = vhost['server-cert'][index];
      if (reason !== null)
        this.#services.log.warn({ vhost: vhost.name, certificate, reason }, 'clients refuse the certificate');
    }
  }

  async #backends(vhost: VhostConfig): Promise<Pick<Vhost, 'ways' | 'accounting'>> {
    const { plugins, stateDir, log } = this.#services;
    const ways = await makeWays(vhost, plugins.auth, log);
    const accounting = await createAccounting(
      vhost,
      plugins.acct,
      {
        stateDir: join(stateDir, 'accounting', encodeURIComponent(vhost.name)),
        endSessions: (matches) => this.endSessions(vhost.name, matches),
        changeSessions: (matches, change) => this.changeSessions(vhost.name, matches, change),
      },
      log,
    );
    return { ways, accounting };
  }
}

async function closeBackends({ ways, accounting }: Vhost): Promise<void> {
  await closeWays(ways);
  await accounting?.close?.();
}
