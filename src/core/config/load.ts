/**
 * Reads the configuration: a YAML or JSON file whose keys are the names of schema.ts, with `vhosts: {name: {…}}`
 * for virtual hosts, or the embedded default. Data only: no loader here runs code, and nothing is searched for.
 */
import { resolve } from 'node:path';
import { cosmiconfigSync, defaultLoadersSync, type LoaderSync } from 'cosmiconfig';
import { VpnError } from '../errors.js';
import { embeddedDefault } from './embedded.js';
import { type OptionName, options, type ServerConfig, type VhostConfig } from './schema.js';
import { checkValue, checkVhost, isOptionName, unknownOption } from './validate.js';

type Values = Partial<Record<OptionName, unknown>>;

export interface LoadOptions {
  /** YAML or JSON file; absent: the embedded default for `dataDir`. */
  readonly file?: string | undefined;
  readonly dataDir: string;
  /** Options of the command line: they win over the file, for the default virtual host. */
  readonly overrides?: Values;
}

const DATA_FORMATS = ['.json', '.yaml', '.yml'];
const refuseFormat = (): never => {
  throw new Error('only .yaml, .yml and .json files can be read');
};
/**
 * cosmiconfig adds the loaders that are not given from its defaults, and those run .js and .ts files, also from
 * `$import` inside a data file. So every one that is not for data is replaced.
 */
const loaders: Record<string, LoaderSync> = Object.fromEntries(
  Object.entries(defaultLoadersSync).map(([format, loader]) => [
    format,
    DATA_FORMATS.includes(format) ? loader : refuseFormat,
  ]),
);
const DEFAULT_VHOST = 'default';

/** Loads and checks the configuration. Throws OCS_FILE, or OCS_CONFIG with one line for every mistake. */
export function loadConfig({ file, dataDir, overrides = {} }: LoadOptions): ServerConfig {
  const source = file === undefined ? null : resolve(file);
  const document = source === null ? embeddedDefault(dataDir) : readDocument(source);
  return buildConfig(document, overrides, source);
}

function readDocument(path: string): unknown {
  const explorer = cosmiconfigSync('vpn', { loaders, searchPlaces: ['vpn.config.yaml'], cache: false });
  try {
    const result = explorer.load(path);
    return result?.isEmpty ? {} : result?.config;
  } catch (error) {
    throw new VpnError(
      'OCS_FILE',
      { what: 'configuration file', path, reason: reasonOf(error) },
      { cause: error },
    );
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.startsWith('No loader specified') ? 'only .yaml, .yml and .json files can be read' : text;
}

/** Turns a parsed document into a configuration; `source` only names it in messages. */
export function buildConfig(document: unknown, overrides: Values, source: string | null): ServerConfig {
  const problems: string[] = [];
  const where = source ?? 'embedded default';
  const report = (vhost: string, option: string, problem: string): void => {
    problems.push(`${where}: ${vhost === DEFAULT_VHOST ? '' : `[vhost ${vhost}] `}${option}: ${problem}`);
  };
  const { vhosts: named = {}, ...own } = asRecord(document) ?? {};
  if (!asRecord(document)) report(DEFAULT_VHOST, 'file', 'must be a mapping of options');
  const main = makeVhost(DEFAULT_VHOST, defaults(), { ...own, ...overrides }, report);
  const vhosts = new Map<string, VhostConfig>();
  for (const [name, values] of Object.entries(asRecord(named) ?? {})) {
    vhosts.set(name, makeVhost(name, main, asRecord(values) ?? {}, report));
  }
  if (!asRecord(named)) report(DEFAULT_VHOST, 'vhosts', 'must be a mapping of names to options');
  if (problems.length > 0) throw new VpnError('OCS_CONFIG', { file: where, detail: problems.join('\n') });
  return { source, default: main, vhosts };
}

function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function defaults(): VhostConfig {
  const values = Object.entries(options).map(([name, spec]) => [name, spec.default]);
  return { name: DEFAULT_VHOST, ...Object.fromEntries(values) } as VhostConfig;
}

/** A virtual host is a copy of `base` with its own values in place of those; lists are replaced as a whole. */
function makeVhost(
  name: string,
  base: VhostConfig,
  own: Record<string, unknown>,
  report: (vhost: string, option: string, problem: string) => void,
): VhostConfig {
  const values: Record<string, unknown> = { ...base, name };
  let mistakes = 0;
  const fail = (option: string, problem: string): void => {
    mistakes++;
    report(name, option, problem);
  };
  for (const [option, value] of Object.entries(own)) {
    if (!isOptionName(option)) {
      fail(option, unknownOption(option));
    } else if (name !== DEFAULT_VHOST && options[option].scope === 'global') {
      fail(option, 'belongs to the whole server and cannot be set for one virtual host');
    } else {
      const checked = checkValue(option, value);
      if ('problem' in checked) fail(option, checked.problem);
      else values[option] = checked.value;
    }
  }
  const vhost = values as VhostConfig;
  // Mistakes in single values would only be repeated by the checks of the whole.
  if (mistakes === 0) for (const { option, problem } of checkVhost(vhost)) fail(option, problem);
  return vhost;
}
