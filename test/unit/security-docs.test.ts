import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { mainCapabilities } from '../../src/core/main/lockdown.js';
import { native } from '../../src/core/native/index.js';
import { lockdownStages } from '../../src/core/worker/lockdown.js';

const root = resolve(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(resolve(root, path), 'utf8');
const row = (...cells: string[]): string => `| ${cells.join(' | ')} |`;
const table = (head: string[], rows: string[][]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => row(...cells)).join('\n');

/** Tables from what the roles run. */
const tables = [
  table(
    ['stage', 'what and why'],
    lockdownStages.map(({ name, why }) => [name, why]),
  ),
  table(
    ['capability', 'why'],
    mainCapabilities.map(({ name, why }) => [`\`${name}\``, why]),
  ),
  table(
    ['', 'what', 'why', 'calls'],
    native.io.callRules().map(({ rule, what, why, calls }) => [rule, what, why, calls.join(', ')]),
  ),
].join('\n\n');

test('docs/permissions.md has what the roles run (write them with vitest -u)', async () => {
  await expect(
    `# What each role keeps\n\nFrom the code; see [security.md](security.md).\n\n${tables}\n`,
  ).toMatchFileSnapshot(resolve(root, 'docs/permissions.md'));
});

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

test('docs/dependencies.md names every runtime dependency, and nothing else', () => {
  const manifests = ['package.json', ...globSync('src/plugins/*/package.json', { cwd: root })];
  const names = manifests.flatMap((path) => {
    const { dependencies, optionalDependencies } = JSON.parse(read(path)) as Manifest;
    return Object.keys({ ...dependencies, ...optionalDependencies });
  });
  const [rows = ''] = read('docs/dependencies.md').split('## Install scripts');
  const documented = [...rows.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);
  expect(documented.sort()).toEqual([...new Set(names)].sort());
});

test('no package has an install script but those of the list', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { hasInstallScript?: boolean }>;
  };
  const found = Object.entries(packages)
    .filter(([path, { hasInstallScript }]) => path !== '' && hasInstallScript)
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  const [, list = ''] = read('docs/dependencies.md').split('## Install scripts');
  const allowed = [...list.matchAll(/^\* `([^`]+)`$/gm)].map(([, name]) => name);
  expect([...new Set(found)].sort()).toEqual(allowed.sort());
});
