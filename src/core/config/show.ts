/** `vpn config show` and `vpn config diff`: configurations for people. Secrets are never shown. */
import { isMap, isScalar, Document as YamlDocument } from 'yaml';
import { type Built, DEFAULT_VHOST } from './build.js';
import { type OptionName, type OptionSpec, options, type ServerConfig, type VhostConfig } from './schema.js';

const HIDDEN = '(hidden)';
const names = Object.keys(options) as OptionName[];

export interface ShowOptions {
  /** Options with their defaults, too. */
  readonly all: boolean;
}

/** The options in force: those of the default virtual host, and what others have different. */
export function shownValues({ config, origins }: Built, { all }: ShowOptions): Record<string, unknown> {
  const isSet = (name: OptionName): boolean =>
    all || origins.get(DEFAULT_VHOST)?.has(name) || !same(config.default[name], options[name].default);
  const vhosts = [...config.vhosts.values()].map((vhost): [string, Record<string, unknown>] => [
    vhost.name,
    valuesOf(vhost, (name) => !same(vhost[name], config.default[name])),
  ]);
  return {
    ...valuesOf(config.default, isSet),
    ...(vhosts.length > 0 && { vhosts: Object.fromEntries(vhosts) }),
  };
}

function valuesOf(vhost: VhostConfig, isShown: (name: OptionName) => boolean): Record<string, unknown> {
  const settable = names.filter((name) => !(options[name] as OptionSpec).userFileOnly);
  return Object.fromEntries(settable.filter(isShown).map((name) => [name, visible(name, vhost[name])]));
}

function visible(name: OptionName, value: unknown): unknown {
  return (options[name] as OptionSpec).secret && value !== '' ? HIDDEN : value;
}

/** The same as YAML; with `withOrigins` each option says where it was set. */
export function showText(built: Built, show: ShowOptions, withOrigins: boolean): string {
  const document = new YamlDocument(shownValues(built, show));
  const annotate = (map: unknown, vhost: string): void => {
    if (!isMap(map)) return;
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? String(key.value) : '';
      if (name === 'vhosts' && vhost === DEFAULT_VHOST && isMap(value)) {
        for (const each of value.items)
          annotate(each.value, isScalar(each.key) ? String(each.key.value) : '');
      } else if (isScalar(key)) {
        key.commentBefore = ` ${built.origins.get(vhost)?.get(name as OptionName) ?? 'default'}`;
      }
    }
  };
  if (withOrigins) annotate(document.contents, DEFAULT_VHOST);
  return document.toString({ lineWidth: 0 });
}

export interface Change {
  /** Virtual host; 'default' for the server as a whole, too. */
  readonly vhost: string;
  /** null: the virtual host as a whole came or went. */
  readonly option: OptionName | null;
  readonly before: unknown;
  readonly after: unknown;
  /** When it takes effect, and for whom. */
  readonly effect: string;
}

/** What a reload with `fresh` would change of `running`. */
export function changesOf(running: ServerConfig, fresh: ServerConfig): Change[] {
  const changes = optionChanges(running.default, fresh.default);
  for (const [name, vhost] of fresh.vhosts) {
    const before = running.vhosts.get(name);
    if (before)
      changes.push(...optionChanges(before, vhost).filter((change) => !isInherited(change, changes)));
    else changes.push(wholeVhost(name, null, 'added', 'at a reload, for new connections to this name'));
  }
  for (const name of running.vhosts.keys()) {
    if (!fresh.vhosts.has(name))
      changes.push(wholeVhost(name, 'present', null, 'at a reload; its sessions cannot be resumed any more'));
  }
  return changes;
}

/** Whether the change of a virtual host is only that of the default one. */
function isInherited({ option, before, after }: Change, main: readonly Change[]): boolean {
  return main.some(
    (change) =>
      change.vhost === DEFAULT_VHOST &&
      change.option === option &&
      same([change.before, change.after], [before, after]),
  );
}

function optionChanges(before: VhostConfig, after: VhostConfig): Change[] {
  return names
    .filter((option) => !same(before[option], after[option]))
    .map((option) => ({
      vhost: after.name,
      option,
      before: visible(option, before[option]),
      after: visible(option, after[option]),
      effect: effectOf(options[option]),
    }));
}

function wholeVhost(vhost: string, before: unknown, after: unknown, effect: string): Change {
  return { vhost, option: null, before, after, effect };
}

function effectOf({ reloadable, scope, support }: OptionSpec): string {
  if (support) return 'never: the option has no effect here';
  if (!reloadable) return 'after a restart';
  if (scope === 'global') return 'at a reload, for the whole server';
  if (scope === 'vhost') return 'at a reload, for new connections';
  return 'at a reload, for new sessions whose user and group files do not say otherwise';
}

/** Lines for people; one sentence without changes. */
export function changesText(changes: readonly Change[]): string {
  if (changes.length === 0) return 'Nothing would change.';
  return changes
    .map(({ vhost, option, before, after, effect }) => {
      const what = `${vhost === DEFAULT_VHOST ? '' : `[vhost ${vhost}] `}${option ?? 'virtual host'}`;
      return `${what}: ${JSON.stringify(before)} → ${JSON.stringify(after)} (${effect})`;
    })
    .join('\n');
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
