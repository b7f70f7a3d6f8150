/** The configuration in force. A reload replaces it; whoever keeps this object sees the new values at once. */
import type { ServerConfig, VhostConfig } from '../config/schema.js';
import { type WorkerConfig, workerConfig } from '../config/worker-config.js';

export class RunningConfig {
  #current: ServerConfig;
  #generation = 0;

  constructor(config: ServerConfig) {
    this.#current = config;
  }

  get current(): ServerConfig {
    return this.#current;
  }

  /** The default virtual host, which has the options of the server as a whole. */
  get main(): VhostConfig {
    return this.#current.default;
  }

  replace(config: ServerConfig): void {
    this.#current = config;
    this.#generation++;
  }

  /** The files that it names have changed: workers fetch anew what secmod has read from them. */
  filesChanged(): void {
    this.#generation++;
  }

  /** Counts the changes. */
  get generation(): number {
    return this.#generation;
  }

  /** What workers are told, WORKER_CONFIG's JSON. */
  forWorkers(identity: Pick<WorkerConfig, 'uid' | 'gid'>): string {
    return workerConfig(this.#current, { ...identity, generation: this.#generation });
  }
}
