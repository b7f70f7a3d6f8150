/** What a reload may change. */
import { type OptionName, options, type ServerConfig, type VhostConfig } from './schema.js';

/**
 * `fresh` with the values of `running` for all options that need a restart. Virtual hosts that are new keep
 * what the file says, except for the options of the server as a whole.
 */
export function reloaded(running: ServerConfig, fresh: ServerConfig): ServerConfig {
  const vhosts = [...fresh.vhosts].map(([name, vhost]): [string, VhostConfig] => [
    name,
    keepFixed(running.vhosts.get(name) ?? vhost, vhost),
  ]);
  return {
    source: fresh.source,
    default: keepFixed(running.default, fresh.default),
    vhosts: new Map(vhosts),
  };
}

/** Names of the options that differ and need a restart to take effect, for a log line. */
export function needsRestart(running: VhostConfig, fresh: VhostConfig): OptionName[] {
  return fixedNames().filter((name) => JSON.stringify(running[name]) !== JSON.stringify(fresh[name]));
}

function fixedNames(): OptionName[] {
  return (Object.keys(options) as OptionName[]).filter((name) => !options[name].reloadable);
}

function keepFixed(running: VhostConfig, fresh: VhostConfig): VhostConfig {
  return { ...fresh, ...Object.fromEntries(fixedNames().map((name) => [name, running[name]])) };
}
