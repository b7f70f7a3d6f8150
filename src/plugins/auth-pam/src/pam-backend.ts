/** The `pam` back end. */
import type {
  AuthBackend,
  AuthBackendPlugin,
  BackendHost,
  BackendOptions,
} from '../../../core/plugin-api/index.js';
import { loadAddon } from './addon.js';
import { PamConversation, type PamSettings } from './pam-conversation.js';

const DEFAULT_SERVICE = 'ocserv';

export const serviceOption = {
  type: 'string',
  doc: `Service, a file in /etc/pam.d; ${DEFAULT_SERVICE} by default.`,
} as const;

export const pamPlugin: AuthBackendPlugin = {
  manifest: {
    name: 'pam',
    needs: ['programs', 'network', 'root'],
    // The modules count: see pam_faillock(8).
    maxTries: 0,
    options: {
      service: serviceOption,
      'gid-min': { type: 'number', doc: 'Unix groups of the user from this number on count; 0 by default.' },
    },
  },
  create: async (options, host) => createPamBackend(options, host),
};

/** `confdir`: directory of service files in place of /etc/pam.d. Throws if the addon cannot be used. */
export function createPamBackend(options: BackendOptions, host: BackendHost, confdir = ''): AuthBackend {
  const service = serviceOf(options);
  loadAddon();
  const settings: PamSettings = { service, gidMin: Number(options['gid-min'] ?? 0), confdir };
  return { begin: (login) => new PamConversation(settings, login, host.log) };
}

/** Throws if the sub-option is no name of a service. */
export function serviceOf(options: BackendOptions): string {
  const service = String(options.service ?? DEFAULT_SERVICE);
  // libpam would take the last part of a path.
  if (!/^[\w.-]+$/.test(service)) throw new Error(`service=${service} is no name of a file in /etc/pam.d`);
  return service;
}
