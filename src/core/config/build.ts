/** From the documents of the readers to a checked configuration. Pure: no files, no clock. */
import { VpnError } from '../errors.js';
import { checkServer, checkVhost, noticesOf, type VhostCheck } from './cross-checks.js';
import { derived } from './derive.js';
import type { Document, Setting } from './document.js';
import { type OptionName, type OptionSpec, options, type ServerConfig, type VhostConfig } from './schema.js';
import { checkText, checkValue, optionNamed, unknownOption } from './validate.js';

export type Values = Partial<Record<OptionName, unknown>>;

/** A configuration with what only people want to know about it. */
export interface Built {
  readonly config: ServerConfig;
  /** Where each option of each virtual host was set: "FILE:LINE"; options with their defaults are not in it. */
  readonly origins: ReadonlyMap<string, Origins>;
  /** What has no effect or is probably not meant, one line each. */
  readonly notices: readonly string[];
}

export type Origins = ReadonlyMap<OptionName, string>;

export const DEFAULT_VHOST = 'default';
/** A file of garbage would otherwise make as many lines as it has. */
const MAX_REPORTED = 100;
/** A virtual host that sets one option of a block inherits none of the block. */
const BLOCKS: readonly (readonly OptionName[])[] = [
  ['auth', 'enable-auth'],
  ['server-cert', 'server-key'],
];
/** A mistake in one option of these makes checks of the others meaningless. */
const RELATED: readonly (readonly OptionName[])[] = [
  ...BLOCKS,
  ['ipv4-network', 'ipv4-netmask', 'ipv6-network', 'ipv6-prefix', 'ipv6-subnet-prefix'],
];

/**
 * Builds and checks, with `checks` beside the own ones. Throws OCS_CONFIG with one line for every mistake. `source`
 * names the file in messages.
 */
export function build(
  document: Document,
  overrides: Values,
  source: string | null,
  checks: readonly VhostCheck[] = [],
): Built {
  const builder = new Builder(document, source ?? 'embedded default', checks);
  return builder.build(overrides, source);
}

/** The options of one section of a file: those that it sets itself, and all with what it inherits. */
export interface SectionValues {
  readonly name: string;
  readonly given: ReadonlyMap<OptionName, unknown>;
  readonly config: VhostConfig;
}

/** Checks the values of a document one by one, but not whether they go together. Throws like `build`. */
export function readValues(document: Document, source: string): SectionValues[] {
  return new Builder(document, source).values();
}

/** One virtual host while it is built: its values and where they came from. */
interface Draft {
  readonly vhost: VhostConfig;
  readonly origins: Origins;
  readonly given: ReadonlyMap<OptionName, unknown>;
}

class Builder {
  readonly #document: Document;
  readonly #where: string;
  readonly #checks: readonly VhostCheck[];
  readonly #problems: string[] = [];
  readonly #notices = new Set<string>();
  /** Options with a mistake in their value: the checks of the whole would only repeat it. */
  readonly #bad = new Set<OptionName>();

  constructor(document: Document, where: string, checks: readonly VhostCheck[] = []) {
    this.#document = document;
    this.#where = where;
    this.#checks = [checkVhost, ...checks];
  }

  values(): SectionValues[] {
    const drafts = this.#drafts({});
    this.#throwProblems();
    return drafts.map((draft) => ({ name: draft.vhost.name, given: draft.given, config: finished(draft) }));
  }

  /** The default virtual host first. */
  #drafts(overrides: Values): [Draft, ...Draft[]] {
    const { mistakes, settings, vhosts, format } = this.#document;
    for (const { line, option, problem } of mistakes) this.#report(DEFAULT_VHOST, option, problem, line);
    // Nothing could be read: the options are not missing, they are unknown.
    if (settings.length === 0) this.#throwProblems();
    const base = { vhost: defaultsOf(format), origins: new Map(), given: new Map() };
    const main = this.#draft(DEFAULT_VHOST, settings, base, overrides);
    return [main, ...vhosts.map(({ name, settings: own }) => this.#draft(name, own, main))];
  }

  build(overrides: Values, source: string | null): Built {
    const [main, ...drafts] = this.#drafts(overrides);
    for (const draft of [main, ...drafts]) this.#check(draft);
    const config = {
      source,
      default: finished(main),
      vhosts: new Map(drafts.map((draft) => [draft.vhost.name, finished(draft)])),
    };
    this.#checkServer(config, [main, ...drafts]);
    this.#throwProblems();
    const origins = new Map([main, ...drafts].map((draft) => [draft.vhost.name, draft.origins]));
    return { config, origins, notices: [...this.#notices] };
  }

  #draft(name: string, settings: readonly Setting[], base: Draft, overrides: Values = {}): Draft {
    const own = this.#collect(name, settings);
    for (const [option, value] of Object.entries(overrides)) {
      const known = optionNamed(option);
      if (known) own.set(known, { value: this.#checked(known, value, name, null), line: null });
    }
    const values: Record<string, unknown> = { ...base.vhost, name };
    const origins = new Map(base.origins);
    const plain = defaultsOf(this.#document.format);
    for (const block of BLOCKS) {
      if (!block.some((option) => own.has(option))) continue;
      for (const option of block) {
        values[option] = plain[option];
        origins.delete(option);
      }
    }
    for (const [option, { value, line }] of own) {
      values[option] = this.#adds(name, option) ? [...list(values[option]), ...list(value)] : value;
      origins.set(option, Object.hasOwn(overrides, option) ? 'command line' : this.#place(line));
    }
    const given = new Map([...own].map(([option, { value }]) => [option, value]));
    return { vhost: values as VhostConfig, origins, given };
  }

  /** In ocserv's format a virtual host adds to the lists that it inherits, unless they need a restart. */
  #adds(vhost: string, option: OptionName): boolean {
    const { type, reloadable }: OptionSpec = options[option];
    return this.#document.format === 'conf' && vhost !== DEFAULT_VHOST && type === 'list' && reloadable;
  }

  /** The options that a section sets, checked one by one. */
  #collect(vhost: string, settings: readonly Setting[]) {
    const own = new Map<OptionName, { value: unknown; line: number | null }>();
    for (const { option: written, value: given, line } of settings) {
      const option = optionNamed(written);
      const refusal = option ? refusalOf(option, vhost) : unknownOption(written);
      if (!option || refusal) {
        this.#report(vhost, written, refusal ?? '', line);
        continue;
      }
      const value = this.#checked(option, given, vhost, line);
      if (value === undefined) continue;
      const earlier = own.get(option);
      if (!earlier) own.set(option, { value, line });
      else if (options[option].type === 'list')
        own.set(option, { value: [...list(earlier.value), ...list(value)], line: earlier.line });
      else this.#report(vhost, written, `is given twice, first ${this.#first(earlier.line)}`, line);
    }
    for (const [option, { value, line }] of own) this.#checkWhole(vhost, option, value, line);
    return own;
  }

  /** Lists that came together from several lines, and what is not supported. */
  #checkWhole(vhost: string, option: OptionName, value: unknown, line: number | null): void {
    const spec: OptionSpec = options[option];
    const count = list(value).length;
    if (spec.type === 'list' && spec.max !== undefined && count > spec.max)
      this.#report(vhost, option, `has ${count} values, at most ${spec.max} are allowed`, line);
    const isSet = JSON.stringify(value) !== JSON.stringify(spec.default);
    if (!spec.support || !isSet) return;
    if (spec.support.level === 'refused') this.#report(vhost, option, spec.support.say, line);
    else this.#notices.add(this.#message(vhost, option, spec.support.say, line));
  }

  #checked(option: OptionName, given: unknown, vhost: string, line: number | null): unknown {
    const isText = this.#document.format === 'conf' && typeof given === 'string' && line !== null;
    const checked = isText ? checkText(option, given) : checkValue(option, given);
    if ('value' in checked) return checked.value;
    this.#report(vhost, option, checked.problem, line);
    this.#bad.add(option);
    return undefined;
  }

  #check(draft: Draft): void {
    const vhost = finished(draft);
    for (const { option, problem } of this.#checks.flatMap((check) => check(vhost)))
      this.#reportAt(draft, option, problem);
    for (const { option, problem } of noticesOf(vhost)) {
      const at = draft.origins.get(option) ?? this.#where;
      this.#notices.add(`${at}: ${option}: ${problem}`);
    }
  }

  #checkServer(config: ServerConfig, drafts: readonly Draft[]): void {
    for (const { vhost, option, problem } of checkServer(config)) {
      const draft = drafts.find((candidate) => candidate.vhost.name === vhost);
      if (draft) this.#reportAt(draft, option, problem);
    }
  }

  #reportAt({ vhost, origins }: Draft, option: OptionName, problem: string): void {
    const related = RELATED.find((group) => group.includes(option)) ?? [option];
    if (related.some((name) => this.#bad.has(name))) return;
    const at = origins.get(option) ?? this.#where;
    const line = `${at}: ${label(vhost.name)}${option}: ${problem}`;
    // What a virtual host inherits was reported where it was set.
    const inherited = `${at}: ${option}: ${problem}`;
    if (!this.#problems.includes(inherited)) this.#problems.push(line);
  }

  #report(vhost: string, option: string, problem: string, line: number | null): void {
    this.#problems.push(this.#message(vhost, option, problem, line));
  }

  #message(vhost: string, option: string, problem: string, line: number | null): string {
    return `${this.#place(line)}: ${label(vhost)}${option === '' ? '' : `${option}: `}${problem}`;
  }

  #place(line: number | null): string {
    return line === null ? this.#where : `${this.#where}:${line}`;
  }

  #first(line: number | null): string {
    return line === null ? 'above' : `in line ${line}`;
  }

  #throwProblems(): void {
    if (this.#problems.length === 0) return;
    const shown = this.#problems.slice(0, MAX_REPORTED);
    const more = this.#problems.length - shown.length;
    if (more > 0) shown.push(`${this.#where}: and ${more} more`);
    throw new VpnError('OCS_CONFIG', { file: this.#where, detail: shown.join('\n') });
  }
}

/** The options without a file; ocserv's own defaults for files in its format. */
export function defaultsOf(format: Document['format']): VhostConfig {
  const values = (Object.entries(options) as [OptionName, OptionSpec][]).map(([name, spec]) => [
    name,
    format === 'conf' && spec.confDefault !== undefined ? spec.confDefault : spec.default,
  ]);
  return { name: DEFAULT_VHOST, ...Object.fromEntries(values) } as VhostConfig;
}

function finished({ vhost, origins }: Draft): VhostConfig {
  return derived(vhost, new Set(origins.keys()));
}

const label = (vhost: string): string => (vhost === DEFAULT_VHOST ? '' : `[vhost ${vhost}] `);

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function refusalOf(option: OptionName, vhost: string): string | null {
  const spec: OptionSpec = options[option];
  if (spec.userFileOnly) return 'belongs in a file of config-per-user or config-per-group';
  if (vhost !== DEFAULT_VHOST && spec.scope === 'global')
    return 'belongs to the whole server and cannot be set for one virtual host';
  return null;
}
