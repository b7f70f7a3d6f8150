/** The `gssapi` back end. */
import type {
  AuthBackend,
  AuthBackendPlugin,
  BackendHost,
  BackendOptions,
} from '../../../core/plugin-api/index.js';
import { loadAddon } from './addon.js';
import { GssapiConversation, type GssapiSettings } from './gssapi-conversation.js';

export const gssapiPlugin: AuthBackendPlugin = {
  manifest: {
    name: 'gssapi',
    // Names of hosts, and groups that the system keeps in a directory service.
    needs: ['network'],
    // A token that was refused is not sent again.
    maxTries: 1,
    credential: 'negotiate',
    options: {
      keytab: { type: 'string', doc: "File with the service's keys (HTTP/host); the system's by default." },
      'require-local-user-map': {
        type: 'boolean',
        doc: 'Refuse principals without a local name (auth_to_local of krb5.conf); true by default.',
      },
      'tgt-freshness-time': {
        type: 'number',
        doc: 'Seconds after the login at the KDC in which its tickets are taken; 0, the default: as long as they are valid.',
      },
      'gid-min': { type: 'number', doc: 'Unix groups of the user from this number on count; 0 by default.' },
    },
  },
  create: async (options, host) => createGssapiBackend(options, host),
};

/** `nowMs`: the clock. Throws if the addon or the keytab cannot be used. */
export function createGssapiBackend(
  options: BackendOptions,
  host: BackendHost,
  nowMs: () => number = Date.now,
): AuthBackend {
  const keytab = String(options.keytab ?? '');
  const credential = loadAddon().acquire(keytab);
  if (typeof credential === 'string')
    throw new Error(`the keytab ${keytab || 'of the system'} cannot be used: ${credential}`);
  const settings: GssapiSettings = {
    credential,
    requireLocalName: options['require-local-user-map'] !== false,
    freshnessSec: Number(options['tgt-freshness-time'] ?? 0),
    gidMin: Number(options['gid-min'] ?? 0),
    nowMs,
  };
  return { begin: (login) => new GssapiConversation(settings, login, host.log) };
}
