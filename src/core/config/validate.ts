/** Checks of single values against the schema. Each returns a sentence about the mistake instead of throwing. */
import { didYouMean } from './did-you-mean.js';
import { formats } from './formats.js';
import { type OptionName, type OptionSpec, options } from './schema.js';

/** Current names by every name that may be written, older ones included. */
const canonical: ReadonlyMap<string, OptionName> = new Map(
  (Object.entries(options) as [OptionName, OptionSpec][]).flatMap(([name, { aliases = [] }]) =>
    [name, ...aliases].map((written): [string, OptionName] => [written, name]),
  ),
);

/** The option that a name in a file means; undefined when there is none. */
export function optionNamed(written: string): OptionName | undefined {
  return canonical.get(written);
}

/** What is wrong with an option's name, with the name that may have been meant. */
export function unknownOption(name: string): string {
  const meant = didYouMean(name, [...canonical.keys()]);
  return `unknown option${meant ? `, did you mean ${meant}?` : ''}`;
}

type Checked = { readonly value: unknown } | { readonly problem: string };

/** Checks type, range and permitted values; a single text is taken as a list of one. Returns the value or a sentence. */
export function checkValue(name: OptionName, value: unknown): Checked {
  const spec: OptionSpec = options[name];
  const candidate = spec.type === 'list' && typeof value === 'string' ? [value] : value;
  const problem = problemOf(spec, candidate);
  if (problem === null) return { value: candidate };
  // Messages end up in logs.
  return { problem: spec.secret ? 'must be a short text without control characters' : problem };
}

/** The same for a text of ocserv's format. Numbers and booleans may be followed by a comment. */
export function checkText(name: OptionName, text: string): Checked {
  const spec: OptionSpec = options[name];
  const word = text.replace(/\s+#.*$/s, '');
  if (spec.type === 'boolean') return checkValue(name, booleanOf(word) ?? text);
  if (spec.type === 'number') return checkValue(name, numberOf(word, spec.hex === true) ?? text);
  if (spec.type === 'list' && text === '') return { problem: 'has no value' };
  return checkValue(name, text);
}

function booleanOf(word: string): boolean | null {
  if (/^(?:true|yes)$/i.test(word)) return true;
  return /^(?:false|no)$/i.test(word) ? false : null;
}

function numberOf(word: string, hex: boolean): number | null {
  const isNumber = /^[+-]?\d{1,16}$/.test(word) || (hex && /^0x[\da-f]{1,8}$/i.test(word));
  return isNumber ? Number(word) : null;
}

function problemOf(spec: OptionSpec, value: unknown): string | null {
  switch (spec.type) {
    case 'boolean':
      return typeof value === 'boolean' ? null : `must be true or false, not ${shown(value)}`;
    case 'number':
      return numberProblem(spec, value);
    case 'string':
      if (typeof value !== 'string') return `must be a text, not ${shown(value)}`;
      return textProblem(spec, value);
    case 'list':
      return listProblem(spec, value);
  }
}

function numberProblem(spec: OptionSpec, value: unknown): string | null {
  const unit = spec.unit ? ` ${spec.unit}` : '';
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    return `must be a whole number, not ${shown(value)}`;
  if (spec.min !== undefined && value < spec.min) return `must be at least ${spec.min}${unit}, not ${value}`;
  if (spec.max !== undefined && value > spec.max) return `must be at most ${spec.max}${unit}, not ${value}`;
  return null;
}

function textProblem(spec: OptionSpec, value: string): string | null {
  if (spec.values && !spec.values.includes(value))
    return `must be one of ${spec.values.join(', ')}, not ${shown(value)}`;
  if (spec.type === 'string' && spec.max !== undefined && Buffer.byteLength(value) > spec.max)
    return `is longer than ${spec.max} bytes`;
  if (/\p{Cc}/u.test(spec.format ? value : value.replaceAll(/[\n\t]/g, '')))
    return `${shown(value)} has control characters`;
  return value !== '' && spec.format ? formats[spec.format](value) : null;
}

function listProblem(spec: OptionSpec, value: unknown): string | null {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    return `must be a list of texts, not ${shown(value)}`;
  if (spec.max !== undefined && value.length > spec.max)
    return `has ${value.length} values, at most ${spec.max} are allowed`;
  for (const item of value) {
    const problem = item.trim() === '' ? 'has an empty value' : textProblem(spec, item);
    if (problem) return problem;
  }
  return null;
}

/** Short enough for a message. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
