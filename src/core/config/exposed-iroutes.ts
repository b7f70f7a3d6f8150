/** expose-iroutes: the networks behind the clients of a virtual host become routes of all its other clients. */
import { readdirSync } from 'node:fs';
import { fileReason } from '../util/file-reason.js';
import { isDefaultRoute } from './networks.js';
import type { VhostConfig } from './schema.js';
import { ownerOfFile, userIroutes } from './user-files.js';

/** User → iroutes of their file. */
export type Iroutes = ReadonlyMap<string, readonly string[]>;

/** Routes that a session can have (messages.ts). */
const MAX_ROUTES = 512;

/**
 * The iroutes in the files of config-per-user; none without expose-iroutes. `onProblem` is told of files that cannot be
 * used, which refuse the sessions of their users anyway.
 */
export function readIroutes(vhost: VhostConfig, onProblem: (problem: string) => void): Iroutes {
  const directory = vhost['config-per-user'];
  const found = new Map<string, readonly string[]>();
  if (!vhost['expose-iroutes'] || directory === '') return found;
  for (const userName of usersOf(directory, onProblem)) {
    try {
      const iroutes = userIroutes(vhost, userName);
      if (iroutes.length > 0) found.set(userName, iroutes);
    } catch (error) {
      onProblem((error as Error).message);
    }
  }
  const count = [...found.values()].flat().length + vhost.route.length;
  if (count > MAX_ROUTES)
    onProblem(`${directory} has so many iroutes that clients get the first ${MAX_ROUTES} routes only`);
  return found;
}

function usersOf(directory: string, onProblem: (problem: string) => void): string[] {
  try {
    const files = readdirSync(directory, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
    return [...new Set(files.map(({ name }) => ownerOfFile(name)))].sort();
  } catch (error) {
    onProblem(`${directory}: ${fileReason(error)}`);
    return [];
  }
}

/**
 * `config` with the iroutes of all but `userName` among its routes. The same object when that changes nothing, since what
 * is made of it is kept (sessionConfig), and when everything goes through the VPN.
 */
export function withIroutes(config: VhostConfig, iroutes: Iroutes, userName: string): VhostConfig {
  if (config.route.length === 0) return config;
  const others = [...iroutes].filter(([owner]) => owner !== userName).flatMap(([, routes]) => routes);
  const route = [...new Set([...config.route, ...others])].slice(0, MAX_ROUTES);
  const isSame = others.length === 0 && route.length === config.route.length;
  return isSame || config.route.some(isDefaultRoute) ? config : { ...config, route };
}
