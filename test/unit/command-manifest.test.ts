/** The list of commands that the build writes, so that a command does not load all others. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
  commands: Record<string, { summary?: string; flags: Record<string, unknown> }>;
  version: string;
};

it('names every command', () => {
  const files = globSync('**/*.ts', { cwd: join(root, 'src/commands') });
  const ids = files.map((file) => file.replace(/(\/index)?\.ts$/, '').replaceAll('/', ':'));
  expect(Object.keys(manifest.commands).sort()).toEqual(ids.sort());
  expect(Object.keys(manifest.commands['ctl:show:users']?.flags ?? {})).toContain('run-dir');
});

it('is of this version, or oclif would pass it over', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(manifest.version).toBe(version);
});
