/** The manual pages: those of the commands are fresh (write them with vitest -u), and all of them can be read. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { manualPages } from '../../scripts/manual-pages.ts';
import { catalogue } from '../../src/core/errors.js';

/** A character printed twice. */
const BOLD = new RegExp(`.${String.fromCharCode(8)}`, 'g');
const folder = join(import.meta.dirname, '../../man');
const pages = readdirSync(folder);
const generated = await manualPages();

test.each([...generated])('man/%s is what the commands say', async (name, text) => {
  await expect(text).toMatchFileSnapshot(`../../man/${name}`);
});

test('there is a page for every command, and none for a command that is gone', () => {
  const commands = readdirSync(join(import.meta.dirname, '../../src/commands'));
  const topics = [...new Set(commands.map((entry) => entry.replace(/\.ts$/, '')))];
  expect(pages.filter((name) => name.endsWith('.8')).sort()).toEqual(
    ['vpn.8', ...topics.map((topic) => `vpn-${topic}.8`)].sort(),
  );
});

test('npm installs every page', () => {
  const { man } = JSON.parse(readFileSync(join(folder, '../package.json'), 'utf8')) as { man: string[] };
  expect(man).toEqual(pages.map((name) => `man/${name}`).sort());
});

test.each(pages)('groff reads man/%s without a warning', (name) => {
  const { stderr, status } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z', join(folder, name)], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
});

test.each(pages)(
  'man/%s has the sections that people look for, and refers to pages that there are',
  (name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    for (const section of ['NAME', 'DESCRIPTION', 'SEE ALSO']) expect(text).toContain(`.SH ${section}\n`);
    const foreign = ['crypt (3)'];
    const known = [...pages.map((page) => page.replace(/\.(\d)$/, ' ($1)')), ...foreign];
    for (const [, page = '', section = ''] of text.matchAll(/^\.BR ([\w\\.-]+) \((\d)\)/gm))
      expect(known).toContain(`${page.replaceAll('\\', '')} (${section})`);
  },
);

test('every flag and every error is in its page', () => {
  const shown = (name: string): string =>
    execFileSync('groff', ['-man', '-Tascii', '-P-c', join(folder, name)], { encoding: 'utf8' }).replaceAll(
      BOLD,
      '',
    );
  expect(shown('vpn-serve.8')).toMatch(/-p, --port PORT/);
  expect(shown('vpn-serve.8')).toMatch(/--\[no-\]workers/);
  expect(shown('vpn-ctl.8')).toMatch(/vpn ctl show sessions valid/);
  for (const code of Object.keys(catalogue)) expect(shown('vpn.8')).toContain(code);
});
