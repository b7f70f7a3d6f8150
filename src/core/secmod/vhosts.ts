/** The virtual hosts as secmod runs them: configuration, keys and back end of each. */
import { needsRestart, reloaded } from '../config/reload.js';
import type { ServerConfig, VhostConfig } from '../config/schema.js';
import type { Logger } from '../log.js';
import type { AuthBackend, AuthBackendPlugin } from '../plugin-api/index.js';
import { createBackend } from './backends.js';
import { loadKeys, type ServerKey } from './keys.js';
import { loadProfile, type Profile } from './profile.js';

export interface Vhost {
  readonly config: VhostConfig;
  readonly keys: readonly ServerKey[];
  /** The file of user-profile. */
  readonly profile: Profile | null;
  readonly backend: AuthBackend;
  /** Wrong answers allowed in one login, 0: no limit. */
  readonly maxTries: number;
}

export class Vhosts {
  readonly #plugins: ReadonlyMap<string, AuthBackendPlugin>;
  readonly #log: Logger;
  #config: ServerConfig;
  #byName: ReadonlyMap<string, Vhost>;

  private constructor(
    plugins: ReadonlyMap<string, AuthBackendPlugin>,
    log: Logger,
    config: ServerConfig,
    byName: ReadonlyMap<string, Vhost>,
  ) {
    this.#plugins = plugins;
    this.#log = log;
    this.#config = config;
    this.#byName = byName;
  }

  /** Reads all keys and makes all back ends. Throws errors of the catalogue. */
  static async load(
    config: ServerConfig,
    plugins: ReadonlyMap<string, AuthBackendPlugin>,
    log: Logger,
  ): Promise<Vhosts> {
    return new Vhosts(plugins, log, config, await build(config, plugins, log, new Map()));
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
   * thrown, everything stays as it was.
   */
  async reload(fresh: ServerConfig): Promise<void> {
    const next = reloaded(this.#config, fresh);
    const byName = await build(next, this.#plugins, this.#log, this.#byName);
    const ignored = needsRestart(this.#config.default, fresh.default);
    if (ignored.length > 0) this.#log.warn({ options: ignored }, 'changed options that need a restart');
    const gone = [...this.#byName].filter(([name]) => !byName.has(name));
    this.#config = next;
    this.#byName = byName;
    for (const [, vhost] of gone) await vhost.backend.close?.();
  }

  async close(): Promise<void> {
    for (const vhost of this.#byName.values()) await vhost.backend.close?.();
  }
}

async function build(
  config: ServerConfig,
  plugins: ReadonlyMap<string, AuthBackendPlugin>,
  log: Logger,
  running: ReadonlyMap<string, Vhost>,
): Promise<Map<string, Vhost>> {
  const byName = new Map<string, Vhost>();
  for (const vhost of [config.default, ...config.vhosts.values()]) {
    const keys = loadKeys(vhost);
    const profile = loadProfile(vhost['user-profile']);
    const old = running.get(vhost.name);
    const { backend, maxTries } = old ?? (await createBackend(vhost, plugins, log));
    byName.set(vhost.name, { config: vhost, keys, profile, backend, maxTries });
  }
  return byName;
}
