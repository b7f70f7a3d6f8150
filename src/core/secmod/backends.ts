/** Makes the back ends that a virtual host names in `auth` and `acct`. */
import { type AuthMethod, parseAuthMethod } from '../config/auth-method.js';
import { didYouMean } from '../config/did-you-mean.js';
import type { VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type {
  AccountingBackend,
  AccountingHost,
  AccountingPlugin,
  AuthBackend,
  AuthBackendManifest,
  AuthBackendPlugin,
  BackendOptions,
  Credential,
} from '../plugin-api/index.js';
import { bundledAccountingOf, bundledPluginOf } from '../plugins/bundled.js';
import { checkedAccounting, checkedBackend } from './checked-backend.js';

export interface ConfiguredBackend {
  readonly name: string;
  readonly credential: Credential;
  readonly backend: AuthBackend;
  readonly maxTries: number;
}

const USER_FILES = [
  'config-per-user',
  'config-per-group',
  'default-user-config',
  'default-group-config',
] as const;

/** The back end of one value of `option`. Throws OCS_CONFIG with what is wrong in it, or with the error of the back end. */
export async function createBackend(
  vhost: VhostConfig,
  option: 'auth' | 'enable-auth',
  text: string,
  plugins: ReadonlyMap<string, AuthBackendPlugin>,
  log: Logger,
): Promise<ConfiguredBackend> {
  const fail = failure(vhost, option, text);
  const { plugin, options } = chooseBackend(text, plugins, fail);
  const { manifest } = plugin;
  const child = log.child({ backend: manifest.name, vhost: vhost.name });
  const backend = await made(() => plugin.create(options, { vhost: vhost.name, log: child }), fail);
  if (backend.configuresSessions && USER_FILES.some((option) => vhost[option] !== '')) {
    await backend.close?.();
    return fail(`it configures the sessions itself, so ${USER_FILES.join(', ')} must not be set`);
  }
  const { name, credential = 'password', maxTries } = manifest;
  return { name, credential, backend: checkedBackend(backend, child), maxTries };
}

/** The back end of `acct`; null without one. Throws as createBackend. */
export async function createAccounting(
  vhost: VhostConfig,
  plugins: ReadonlyMap<string, AccountingPlugin>,
  host: Omit<AccountingHost, 'vhost' | 'log'>,
  log: Logger,
): Promise<AccountingBackend | null> {
  const text = vhost.acct;
  if (text === '') return null;
  const fail = failure(vhost, 'acct', text);
  const { plugin, options } = chooseBackend(text, plugins, fail, bundledAccountingOf);
  const child = log.child({ accounting: plugin.manifest.name, vhost: vhost.name });
  const backend = await made(() => plugin.create(options, { ...host, vhost: vhost.name, log: child }), fail);
  return checkedAccounting(backend, child);
}

type Manifest = Pick<AuthBackendManifest, 'name' | 'options'>;

function failure(
  vhost: VhostConfig,
  option: 'auth' | 'enable-auth' | 'acct',
  text: string,
): (problem: string) => never {
  return (problem) => {
    throw new VpnError('OCS_CONFIG', { detail: `[vhost ${vhost.name}] ${option}: ${text}: ${problem}` });
  };
}

/** The plugin that a method means, and its sub-options; `fail` throws what is wrong. `bundled`: the plugin of ours that brings it. */
export function chooseBackend<P extends { readonly manifest: Manifest }>(
  text: string,
  plugins: ReadonlyMap<string, P>,
  fail: (problem: string) => never,
  bundled: (method: string) => string | undefined = bundledPluginOf,
): { plugin: P; options: BackendOptions } {
  const method = parseAuthMethod(text);
  if (typeof method === 'string') return fail(method);
  const plugin = plugins.get(method.name);
  if (plugin) return { plugin, options: backendOptions(method, plugin.manifest, fail) };
  const missing = bundled(method.name);
  if (missing) return fail(`its plugin is not installed; add it with "vpn plugins install ${missing}"`);
  const known = [...plugins.keys()];
  const meant = didYouMean(method.name, known);
  return fail(
    `no such back end, ${meant ? `did you mean ${meant}?` : `there is: ${known.join(', ') || 'none'}`}`,
  );
}

async function made<T>(create: () => Promise<T>, fail: (problem: string) => never): Promise<T> {
  try {
    return await create();
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** The sub-options by name and in the types of the manifest. */
function backendOptions(
  { options }: AuthMethod,
  manifest: Manifest,
  fail: (problem: string) => never,
): BackendOptions {
  const specs = Object.entries(manifest.options);
  const positional = specs.find(([, spec]) => spec.positional)?.[0];
  const values: Record<string, string | number | boolean> = {};
  for (const [given, text] of options) {
    const name = given === '' ? positional : given;
    const spec = name === undefined ? undefined : manifest.options[name];
    if (name === undefined || !spec) {
      const meant = didYouMean(given, Object.keys(manifest.options));
      return fail(
        `${manifest.name} has no sub-option "${given || text}"${meant ? `, did you mean ${meant}?` : ''}`,
      );
    }
    if (name in values) return fail(`${name} is given twice`);
    values[name] = optionValue(name, spec.type, text, fail);
  }
  for (const [name, spec] of specs) if (spec.required && !(name in values)) fail(`${name}= is missing`);
  return values;
}

function optionValue(
  name: string,
  type: 'string' | 'number' | 'boolean',
  text: string,
  fail: (problem: string) => never,
): string | number | boolean {
  if (type === 'number')
    return /^\d{1,15}$/.test(text) ? Number(text) : fail(`${name} must be a whole number`);
  if (type === 'boolean')
    return /^(true|false)$/i.test(text) ? /true/i.test(text) : fail(`${name} must be true or false`);
  return text === '' ? fail(`${name} is empty`) : text;
}
