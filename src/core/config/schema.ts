/**
 * Every configuration option, once; the table is assembled from options/*.ts. Names are ocserv's. Types, defaults,
 * validation, `vpn config` output, the sample file, the man page and the docs table derive from it.
 */
import type { OptionSpec } from './option-spec.js';
import { authenticationOptions } from './options/authentication.js';
import { channelOptions } from './options/channels.js';
import { networkOptions } from './options/network.js';
import { serverOptions } from './options/server.js';
import { sessionOptions } from './options/sessions.js';
import { webOptions } from './options/web.js';

export type { OptionSpec } from './option-spec.js';

/** The topics, in the order of the generated documents. */
export const topics = {
  'Authentication, certificates and keys': authenticationOptions,
  'Listening and processes': serverOptions,
  'Sessions: limits, timers, bans, scripts': sessionOptions,
  'TLS, DTLS and compression': channelOptions,
  'Addresses, routes, name servers and limits of traffic': networkOptions,
  'Banners, groups and HTTP': webOptions,
} as const;

export const options = {
  ...authenticationOptions,
  ...serverOptions,
  ...sessionOptions,
  ...channelOptions,
  ...networkOptions,
  ...webOptions,
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof options;
export type OptionValue<N extends OptionName> = (typeof options)[N] extends OptionSpec<infer T> ? T : never;
/** One virtual host's options, all set. The default vhost's name is 'default'. */
export type VhostConfig = { readonly [N in OptionName]: OptionValue<N> } & { readonly name: string };
/** Global options are read from `default`; vhosts by SNI name. */
export interface ServerConfig {
  /** File that it came from, null for the embedded default. */
  readonly source: string | null;
  readonly default: VhostConfig;
  readonly vhosts: ReadonlyMap<string, VhostConfig>;
}
