/**
 * Per-user and per-group files: options that hold for the sessions of one user or group, in ocserv's format (NAME), in
 * YAML (NAME.yaml, NAME.yml) or in JSON (NAME.json). They are read when a session starts, so that changes need no reload.
 */
import { join } from 'node:path';
import { VpnError } from '../errors.js';
import { checkPools } from './cross-checks.js';
import { parseData } from './data-file.js';
import { derived } from './derive.js';
import { type FileFormat, formatOf } from './load.js';
import { parseConf } from './ocserv-conf.js';
import { type OptionName, type OptionSpec, options, type VhostConfig } from './schema.js';
import { readSourceFileIfThere } from './source-file.js';
import { checkText, checkValue, optionNamed, unknownOption } from './validate.js';

export interface Owner {
  readonly userName: string;
  /** '' without a group. */
  readonly groupName: string;
}

type Values = Map<OptionName, unknown>;

/** The options that name the directory and the file for those who have none there. */
const PLACES = {
  user: ['config-per-user', 'default-user-config'],
  group: ['config-per-group', 'default-group-config'],
} as const;

/** What is added to the name of a user or group, in the order of the search. */
const ENDINGS: readonly (readonly [string, FileFormat])[] = [
  ['', 'conf'],
  ['.yaml', 'yaml'],
  ['.yml', 'yaml'],
  ['.json', 'json'],
];

/** Lists whose values in a file of a user or group take the place of the server's. append-routes: not the first two. */
const ROUTES: readonly OptionName[] = ['route', 'no-route'];

/**
 * The options of a virtual host with those of the owner's files. The user's values win over the group's; lists of
 * both are joined. Throws OCS_USER_FILE for a file that cannot be used, or for a name that cannot be that of a file.
 */
export function withUserFiles(vhost: VhostConfig, { userName, groupName }: Owner): VhostConfig {
  const group = groupName === '' ? null : fileOf('group', groupName, vhost);
  const user = fileOf('user', userName, vhost);
  if (!group && !user) return vhost;
  return merged(vhost, joined(group ?? new Map(), user ?? new Map()));
}

/** iroutes of the user's own file or of the default file. Throws OCS_USER_FILE. */
export function userIroutes(vhost: VhostConfig, userName: string): readonly string[] {
  return list(fileOf('user', userName, vhost)?.get('iroute')).map(String);
}

/** The user or group that a file's name in such a directory stands for. */
export function ownerOfFile(fileName: string): string {
  const ending = ENDINGS.find(([text]) => text !== '' && fileName.endsWith(text))?.[0] ?? '';
  return fileName.slice(0, fileName.length - ending.length);
}

/** The values of the owner's file, else of the default file; null without either. */
function fileOf(kind: 'user' | 'group', name: string, vhost: VhostConfig): Values | null {
  const [perName, byDefault] = PLACES[kind];
  const [directory, fallback] = [vhost[perName], vhost[byDefault]];
  const what = `${kind} configuration`;
  if (directory !== '') {
    if (!isFileName(name)) fail(directory, `there can be no file for the ${kind} ${JSON.stringify(name)}`);
    for (const [ending, format] of ENDINGS) {
      const path = join(directory, `${name}${ending}`);
      const text = readSourceFileIfThere(path, what);
      if (text !== null) return parse(text, path, format);
    }
  }
  if (fallback === '') return null;
  const text = readSourceFileIfThere(fallback, what);
  return text === null
    ? fail(fallback, `${byDefault} names it, but there is no such file`)
    : parse(text, fallback, formatOf(fallback));
}

/** No way out of the directory, and nothing that is hard to see in a listing. */
function isFileName(name: string): boolean {
  return !/[/\p{Cc}]/u.test(name) && !['', '.', '..'].includes(name) && Buffer.byteLength(name) <= 255;
}

/** Values of one file. Throws OCS_USER_FILE with all its mistakes. */
function parse(text: string, path: string, format: FileFormat): Values {
  const { settings, vhosts, mistakes } =
    format === 'conf' ? parseConf(text, { isVerbatim: () => false }) : parseData(text, format);
  const problems = mistakes.map(({ line, option, problem }) =>
    line === null ? problem : `line ${line}: ${option} ${problem}`,
  );
  if (vhosts.length > 0) problems.push('sections have no place in it');
  const values: Values = new Map();
  for (const { option: written, value, line } of settings) {
    const option = optionNamed(written);
    const checked = option ? checkedFor(option, value, format) : { problem: unknownOption(written) };
    if (!option || 'problem' in checked) {
      problems.push(`line ${line}: ${written}: ${'problem' in checked ? checked.problem : ''}`);
    } else if (options[option].type === 'list') {
      values.set(option, [...list(values.get(option)), ...list(checked.value)]);
    } else if (values.has(option)) {
      problems.push(`line ${line}: ${written}: is given twice`);
    } else {
      values.set(option, checked.value);
    }
  }
  return problems.length === 0 ? values : fail(path, problems.join('; '));
}

function checkedFor(option: OptionName, value: unknown, format: FileFormat) {
  const spec: OptionSpec = options[option];
  if (spec.scope !== 'user') return { problem: 'cannot be set for one user or group' };
  if (spec.support?.level === 'refused') return { problem: spec.support.say };
  return format === 'conf' ? checkText(option, String(value)) : checkValue(option, value);
}

function joined(group: Values, user: Values): Values {
  const values: Values = new Map(group);
  for (const [option, value] of user) {
    const isList = options[option].type === 'list';
    values.set(option, isList ? [...list(values.get(option)), ...list(value)] : value);
  }
  return values;
}

function merged(vhost: VhostConfig, own: Values): VhostConfig {
  const values: Record<string, unknown> = { ...vhost, ...Object.fromEntries(own) };
  if (vhost['append-routes'])
    for (const option of ROUTES) values[option] = [...list(vhost[option]), ...list(own.get(option))];
  // The mask or length belongs to the network that it was given with.
  if (own.has('ipv4-network') && !own.has('ipv4-netmask') && String(own.get('ipv4-network')).includes('/'))
    values['ipv4-netmask'] = '';
  const config = derived(values as VhostConfig, new Set(own.keys()).add('tls-priorities'));
  const [problem] = checkPools(config);
  if (problem) fail('its files', `${problem.option}: ${problem.problem}`);
  return config;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fail(path: string, detail: string): never {
  throw new VpnError('OCS_USER_FILE', { path, detail });
}
