import { execFileSync } from 'node:child_process';
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

interface Bom {
  readonly bomFormat: string;
  readonly components: readonly {
    readonly 'bom-ref': string;
    readonly purl: string;
    readonly hashes: unknown[];
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

test('the SBOM has every package that the server needs, and none for development', () => {
  const bom = JSON.parse(
    execFileSync(process.execPath, ['scripts/sbom.ts'], { cwd: root, encoding: 'utf8' }),
  ) as Bom;
  expect(bom.bomFormat).toBe('CycloneDX');
  const listed = bom.components.map((component) => component['bom-ref']);
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<
      string,
      { dev?: boolean; devOptional?: boolean; version: string; name?: string; link?: boolean }
    >;
  };
  const needed = Object.entries(packages)
    .filter(([path, { dev, devOptional, link }]) => path !== '' && !dev && !devOptional && !link)
    .map(([path, { name, version }]) => `${name ?? path.replace(/^.*node_modules\//, '')}@${version}`);
  expect(listed.sort()).toEqual([...new Set(needed)].sort());
  expect(listed).toContain(`yaml@${packages['node_modules/yaml']?.version}`);
  // Every edge leads to something that is in the list.
  const known = new Set([...listed, ...bom.dependencies.map(({ ref }) => ref)]);
  for (const { dependsOn } of bom.dependencies) for (const other of dependsOn) expect(known).toContain(other);
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
