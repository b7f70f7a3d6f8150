/** The option table: consistent in itself, and honest about what is done with each option. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type OptionName, type OptionSpec, options, topics } from '../../src/core/config/schema.js';
import { checkValue } from '../../src/core/config/validate.js';

const entries = Object.entries(options) as [OptionName, OptionSpec][];

/** Text of every source file outside the schema and the generic configuration code. */
function sourcesThatRead(): string {
  const files = (readdirSync('src', { recursive: true, encoding: 'utf8' }) as string[])
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .filter((path) => !path.startsWith(join('core', 'config', 'options')));
  return files.map((path) => readFileSync(join('src', path), 'utf8')).join('\n');
}

describe('the schema', () => {
  test('has no option twice, neither in two topics nor as an older name', () => {
    const names = Object.values(topics).flatMap((topic) =>
      Object.entries(topic as Record<string, OptionSpec>).flatMap(([name, spec]) => [
        name,
        ...(spec.aliases ?? []),
      ]),
    );
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    expect(Object.keys(options).length).toBe(entries.length);
  });

  test('has defaults that it permits itself', () => {
    for (const [name, spec] of entries) {
      for (const value of [spec.default, spec.confDefault ?? spec.default]) {
        expect(checkValue(name, value), name).toEqual({ value });
      }
    }
  });

  test('says in a sentence what each option does, and which process reads it', () => {
    for (const [name, spec] of entries) {
      expect(spec.doc, name).toMatch(/^["%A-Za-z0-9].*\.$/s);
      expect(spec.for.length, name).toBeGreaterThan(0);
    }
  });

  test('every option that is said to work is read by some code', () => {
    const text = sourcesThatRead();
    const unread = entries
      .filter(([, spec]) => !spec.support)
      .map(([name]) => name)
      .filter((name) => !text.includes(`'${name}'`) && !new RegExp(`\\.${name}\\b`).test(text));
    expect(unread).toEqual([]);
  });

  test('no option without effect is on by default: asking for it would go unnoticed', () => {
    const silent = entries.filter(([, { support, default: value }]) => support && value === true);
    expect(silent.map(([name]) => name)).toEqual([]);
  });

  test('no worker is told a secret of the server', () => {
    const told = entries.filter(([, spec]) => spec.for.includes('worker')).map(([name]) => name);
    expect(told).not.toContain('server-key');
    expect(told).not.toContain('key-pin');
    expect(told).not.toContain('acct');
  });
});
