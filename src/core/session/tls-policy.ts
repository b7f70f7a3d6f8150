/** What `tls-priorities` and the options for Cisco's clients mean for TLS and for the suites of DTLS. */
import { mapPriority, type TlsSettings } from '../config/gnutls-priority.js';
import { options } from '../config/schema.js';

export interface TlsPolicySettings {
  readonly 'tls-priorities': string;
  readonly 'cisco-client-compat': boolean;
  readonly 'cisco-svc-client-compat': boolean;
}

/** Options of a TLS context; what is absent has the addon's default of today. */
export type TlsPolicy = Pick<TlsSettings, 'minVersion' | 'maxVersion'> &
  Partial<
    Pick<TlsSettings, 'cipherList' | 'cipherSuites' | 'groups' | 'signatureAlgorithms' | 'serverPreference'>
  >;

const DEFAULT_PRIORITY: string = options['tls-priorities'].default;
const ANY: TlsPolicy = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' };

/** The policy of a virtual host. Expects a validated configuration. */
export function tlsPolicy(settings: TlsPolicySettings): TlsPolicy {
  const priority = settings['tls-priorities'];
  const isDefault = priority === DEFAULT_PRIORITY;
  // IP phones have nothing newer than the CBC suites that NORMAL still permits.
  if (isDefault && !settings['cisco-svc-client-compat']) return withoutTls13(settings, ANY);
  const mapped = mapPriority(priority);
  if (typeof mapped === 'string') throw new Error(`tls-priorities: ${mapped}`);
  const { warnings: _, ...policy } = mapped;
  return isDefault ? withoutTls13(settings, policy) : policy;
}

/** AnyConnect cannot show a certificate over TLS 1.3 as it is used here; who sets tls-priorities decides alone. */
function withoutTls13(settings: TlsPolicySettings, policy: TlsPolicy): TlsPolicy {
  return settings['cisco-client-compat'] ? { ...policy, maxVersion: 'TLSv1.2' } : policy;
}

/** OpenSSL's names of the suites that the policy permits; null: no restriction beyond the defaults. */
export function permittedSuites(policy: TlsPolicy): readonly string[] | null {
  if (policy.cipherList === undefined) return null;
  return [...policy.cipherList.split(':'), ...(policy.cipherSuites ?? '').split(':')].filter(Boolean);
}
