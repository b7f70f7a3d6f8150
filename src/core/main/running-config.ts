/** The configuration in force. A reload replaces it; whoever keeps this object sees the new values at once. */
import type { ServerConfig, VhostConfig } from '../config/schema.js';

export class RunningConfig {
  #current: ServerConfig;

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
  }
}
