/** Reads YAML and JSON: a mapping of options, and `vhosts` with a mapping of names to such mappings. */
import { isMap, isScalar, LineCounter, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';
import type { Document, Mistake, Section, Setting } from './document.js';

/** Depth and number of aliases are bounded, so that a small text cannot become a huge value. */
const MAX_ALIASES = 100;

/** Reads the text of one file. JSON must be JSON to the letter, not only YAML that looks like it. */
export function parseData(text: string, format: 'yaml' | 'json'): Document {
  if (format === 'json') {
    try {
      JSON.parse(text);
    } catch (error) {
      return onlyMistake(null, error instanceof Error ? error.message : String(error));
    }
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const line = (offset: number | undefined): number | null =>
    offset === undefined ? null : lines.linePos(offset).line;
  if (document.errors.length > 0) {
    const mistakes = document.errors.map((error) => ({
      line: line(error.pos[0]),
      option: '',
      problem: error.message,
    }));
    return { format: 'data', settings: [], vhosts: [], mistakes };
  }
  const { contents } = document;
  if (!isMap(contents)) {
    const what = contents === null ? 'the file is empty' : 'the file is not a mapping of options';
    return onlyMistake(contents === null ? null : line(startOf(contents)), what);
  }
  const read = (node: unknown): unknown =>
    typeof node === 'object' && node !== null && 'toJS' in node
      ? (node as Node).toJS(document, { maxAliasCount: MAX_ALIASES })
      : node;
  try {
    return readMapping(contents, read, line);
  } catch (error) {
    return onlyMistake(null, error instanceof Error ? error.message : String(error));
  }
}

type Read = (node: unknown) => unknown;
type LineOf = (offset: number | undefined) => number | null;

function readMapping(contents: YAMLMap, read: Read, line: LineOf): Document {
  const mistakes: Mistake[] = [];
  const own = contents.items.filter((pair) => read(pair.key) !== 'vhosts');
  const named = contents.items.find((pair) => read(pair.key) === 'vhosts');
  const vhosts: Section[] = [];
  if (named && !isMap(named.value)) {
    const problem = 'must be a mapping of names to options';
    mistakes.push({ line: line(startOf(named.key)), option: 'vhosts', problem });
  } else if (named && isMap(named.value)) {
    for (const pair of named.value.items) {
      const name = String(read(pair.key)).toLowerCase();
      if (isMap(pair.value)) vhosts.push({ name, settings: settingsOf(pair.value.items, read, line) });
      else if (isNothing(pair.value)) vhosts.push({ name, settings: [] });
      else {
        const problem = `${name} must be a mapping of options`;
        mistakes.push({ line: line(startOf(pair.key)), option: 'vhosts', problem });
      }
    }
  }
  return { format: 'data', settings: settingsOf(own, read, line), vhosts, mistakes };
}

function settingsOf(pairs: readonly Pair[], read: Read, line: LineOf): Setting[] {
  return pairs.map((pair) => ({
    option: String(read(pair.key)),
    value: read(pair.value),
    line: line(startOf(pair.key)),
  }));
}

const isNothing = (node: unknown): boolean => node === null || (isScalar(node) && node.value === null);

function startOf(node: unknown): number | undefined {
  return (node as Node | null)?.range?.[0];
}

function onlyMistake(line: number | null, problem: string): Document {
  return { format: 'data', settings: [], vhosts: [], mistakes: [{ line, option: '', problem }] };
}

/** The document of values that are in memory already, e.g. the embedded default. */
export function documentOf(value: unknown): Document {
  if (!isRecord(value)) return onlyMistake(null, 'must be a mapping of options');
  const { vhosts = {}, ...own } = value;
  const sections = isRecord(vhosts) ? Object.entries(vhosts) : [];
  const mistakes = isRecord(vhosts)
    ? []
    : [{ line: null, option: 'vhosts', problem: 'must be a mapping of names to options' }];
  return {
    format: 'data',
    settings: plainSettings(own),
    vhosts: sections.map(([name, values]) => ({
      name,
      settings: plainSettings(isRecord(values) ? values : {}),
    })),
    mistakes,
  };
}

function plainSettings(values: Record<string, unknown>): Setting[] {
  return Object.entries(values).map(([option, value]) => ({ option, value, line: null }));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
