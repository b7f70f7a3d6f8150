/** Turns a configuration from one format into another: the options that the file sets, with the same meaning. */
import { isMap, isScalar, type YAMLMap, Document as YamlDocument } from 'yaml';
import { VpnError } from '../errors.js';
import { defaultsOf, readValues, type SectionValues } from './build.js';
import type { Document } from './document.js';
import { type FileFormat, readDocument } from './load.js';
import { parseConf } from './ocserv-conf.js';
import { type OptionName, type OptionSpec, options } from './schema.js';

type Values = Map<OptionName, unknown>;
type Sections = { readonly name: string; readonly values: Values }[];

/** Text of `path` in `format`. Throws OCS_FILE or OCS_CONFIG for a file that cannot be read or said in the format. */
export function convertFile(path: string, format: FileFormat): string {
  return convert(readDocument(path), path, format);
}

/** The same for a document; `source` names it in messages. */
export function convert(document: Document, source: string, format: FileFormat): string {
  const sections = inFormat(readValues(document, source), document.format, format, source);
  switch (format) {
    case 'conf':
      return confText(sections, source);
    case 'yaml':
      return yamlText(sections);
    case 'json':
      return `${JSON.stringify(plainValues(sections), null, 2)}\n`;
  }
}

/** The values to write, where the formats differ: defaults, and lists of virtual hosts. */
function inFormat(
  [main, ...vhosts]: SectionValues[],
  from: Document['format'],
  format: FileFormat,
  source: string,
): Sections {
  const to = format === 'conf' ? 'conf' : 'data';
  const own: Values = new Map(main?.given);
  const [before, after] = [defaultsOf(from), defaultsOf(to)];
  for (const option of Object.keys(options) as OptionName[]) {
    if (!own.has(option) && before[option] !== after[option] && !Array.isArray(before[option]))
      own.set(option, before[option]);
  }
  const others = vhosts.map(({ name, given }) => {
    const values = [...given].map(([option, value]): [OptionName, unknown] => {
      const inherited = list(main?.given.get(option));
      if (from === to || !isAddedList(option) || inherited.length === 0) return [option, value];
      if (from === 'conf') return [option, [...inherited, ...list(value)]];
      return [option, added(list(value), inherited, `${source}: [vhost ${name}] ${option}`)];
    });
    return { name, values: new Map(values) };
  });
  return [{ name: 'default', values: own }, ...others];
}

/** Lists that virtual hosts add to in ocserv's format, while they replace them in YAML and JSON. */
function isAddedList(option: OptionName): boolean {
  return options[option].type === 'list' && options[option].reloadable;
}

function added(whole: readonly unknown[], inherited: readonly unknown[], where: string): unknown[] {
  if (inherited.every((value, index) => value === whole[index])) return whole.slice(inherited.length);
  const detail = `${where}: leaves out values of the default virtual host; in ocserv's format it can only add to them`;
  throw new VpnError('OCS_CONFIG', { detail });
}

function confText(sections: Sections, source: string): string {
  return sections
    .flatMap(({ name, values }) => [
      ...(name === 'default' ? [] : ['', `[vhost:${name}]`]),
      ...[...values].flatMap(([option, value]) => confLines(option, value, source)),
    ])
    .join('\n')
    .concat('\n');
}

/** One option in ocserv's format: its documentation, and a line for each value. */
export function confLines(option: OptionName, value: unknown, source: string): string[] {
  const items = Array.isArray(value) ? value : [value];
  return [`# ${options[option].doc}`, ...items.map((item) => confLine(option, item, source))];
}

/** Quoted only where that is needed to be read back as it was. */
function confLine(option: OptionName, value: unknown, source: string): string {
  const text = String(value);
  const spec: OptionSpec = options[option];
  const isVerbatim = (): boolean => spec.verbatim === true;
  for (const line of [`${option} = ${text}`, `${option} = "${text}"`]) {
    const { settings, mistakes } = parseConf(line, { isVerbatim });
    if (mistakes.length === 0 && settings.length === 1 && settings[0]?.value === text) return line;
  }
  const detail = `${source}: ${option}: ${JSON.stringify(text)} cannot be written in ocserv's format`;
  throw new VpnError('OCS_CONFIG', { detail });
}

/** The values as YAML and JSON have them. */
function plainValues([main, ...vhosts]: Sections): Record<string, unknown> {
  const named = vhosts.map(({ name, values }) => [name, Object.fromEntries(values)]);
  return {
    ...Object.fromEntries(main?.values ?? []),
    ...(named.length > 0 && { vhosts: Object.fromEntries(named) }),
  };
}

function yamlText(sections: Sections): string {
  const document = new YamlDocument(plainValues(sections));
  const { contents } = document;
  if (isMap(contents)) {
    comment(contents);
    const vhosts = contents.get('vhosts');
    if (isMap(vhosts)) for (const { value } of vhosts.items) if (isMap(value)) comment(value);
  }
  return document.toString({ lineWidth: 0 });
}

/** Each option gets its documentation as a comment. */
function comment(map: YAMLMap): void {
  for (const { key } of map.items) {
    if (!isScalar(key)) continue;
    const spec: OptionSpec | undefined = options[String(key.value) as OptionName];
    if (spec) key.commentBefore = ` ${spec.doc}`;
  }
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
