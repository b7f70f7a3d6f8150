/**
 * What a worker is told: the JSON inside WORKER_CONFIG. main builds it with `workerConfig`, the worker reads it
 * with `parseWorkerConfig`. Only options that the schema marks 'worker' are in it, so that no path of a password
 * file or a key, and no other user's settings, ever reach the process that talks to strangers.
 */
import { VpnError } from '../errors.js';
import { methodName } from './auth-method.js';
import { parseKkdcp } from './kkdcp.js';
import { type OptionName, type OptionValue, options, type ServerConfig, type VhostConfig } from './schema.js';

/** The options that the schema marks for workers. */
export type WorkerOptionName = {
  [N in OptionName]: 'worker' extends (typeof options)[N]['for'][number] ? N : never;
}[OptionName];
export const workerOptionNames = (Object.keys(options) as OptionName[]).filter(
  (name): name is WorkerOptionName => (options[name].for as readonly string[]).includes('worker'),
);

export type WorkerVhost = { readonly [N in WorkerOptionName]: OptionValue<N> } & { readonly name: string };

/** Logins that a pooled worker (session-process) does in its life: its start costs as much as some dozen of them. */
export const POOLED_LOGINS = 512;

export interface WorkerConfig {
  /** Identity that the worker takes on (run-as-user, run-as-group); null: it keeps its own. */
  readonly uid: number | null;
  readonly gid: number | null;
  /** Counts the changes, also those of files that are not seen here. */
  readonly generation: number;
  /** The default vhost first; global options are read from it. Other names are SNI names. */
  readonly vhosts: readonly [WorkerVhost, ...WorkerVhost[]];
}

/** The worker's view of a configuration, as JSON for WORKER_CONFIG. */
export function workerConfig(config: ServerConfig, about: Omit<WorkerConfig, 'vhosts'>): string {
  const others = [...config.vhosts.values()].filter((vhost) => vhost.name !== config.default.name);
  const vhosts = [config.default, ...others].map(project);
  const { uid, gid, generation } = about;
  return JSON.stringify({ uid, gid, generation, vhosts });
}

function project(vhost: VhostConfig): Record<string, unknown> {
  const pairs = workerOptionNames.map((name) => [name, vhost[name]]);
  const methods = { auth: vhost.auth.map(methodName), 'enable-auth': vhost['enable-auth'].map(methodName) };
  const kkdcp = vhost.kkdcp.map((text) => parseKkdcp(text)?.path);
  return { name: vhost.name, ...Object.fromEntries(pairs), ...methods, kkdcp };
}

/** Reads WORKER_CONFIG's JSON. @throws VpnError OCS_CONFIG when an option is missing or of the wrong type. */
export function parseWorkerConfig(json: string): WorkerConfig {
  const value = JSON.parse(json) as Partial<WorkerConfig>;
  const [first, ...others] = value.vhosts ?? [];
  if (!first) throw new VpnError('OCS_CONFIG', { detail: 'main sent no virtual host' });
  for (const vhost of [first, ...others]) for (const name of workerOptionNames) checkOption(vhost, name);
  const { uid = null, gid = null, generation = 0 } = value;
  return { uid, gid, generation, vhosts: [first, ...others] };
}

function checkOption(vhost: WorkerVhost, name: WorkerOptionName): void {
  const value: unknown = vhost[name];
  const { type } = options[name];
  const actual = Array.isArray(value) ? 'list' : typeof value;
  if (actual !== type) {
    throw new VpnError('OCS_CONFIG', {
      detail: `Option ${name} of vhost ${vhost.name} is ${actual}, not ${type}`,
    });
  }
}
