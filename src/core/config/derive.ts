/** Options that others imply, and older spellings of values. */
import type { OptionName, VhostConfig } from './schema.js';

/** `vhost` with what follows from its options; `given` are those that a file or the command line sets. */
export function derived(vhost: VhostConfig, given: ReadonlySet<OptionName>): VhostConfig {
  const forCisco = vhost['cisco-client-compat'];
  const priorities = vhost['tls-priorities'];
  return {
    ...vhost,
    'dtls-legacy': vhost['dtls-legacy'] || forCisco || vhost['cisco-svc-client-compat'],
    'select-group-by-url': vhost['select-group-by-url'] || forCisco,
    'tls-priorities': forCisco && !given.has('tls-priorities') ? `${priorities}:-VERS-TLS1.3` : priorities,
    'restrict-user-to-routes': vhost['restrict-user-to-routes'] || vhost['restrict-user-to-ports'] !== '',
    'ipv6-network': withPrefix(vhost['ipv6-network'], vhost['ipv6-prefix']),
  };
}

/** ocserv once had the length of ipv6-network in an option of its own. */
function withPrefix(network: string, prefix: number): string {
  return network !== '' && prefix > 0 && !network.includes('/') ? `${network}/${prefix}` : network;
}
