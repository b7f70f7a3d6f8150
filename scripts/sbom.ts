/**
 * "npm run sbom": prints a CycloneDX list of what the server needs when it runs, as package-lock.json has it, for all
 * machines. "npm sbom --omit dev" would leave out what a package for development needs as well.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

interface Bom {
  readonly components: readonly { readonly 'bom-ref': string }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}
interface Package {
  readonly name?: string;
  readonly version?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
}

/** name@version of what the lock does not mark as for development only. */
function needed(): Set<string> {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Readonly<Record<string, Package>>;
  };
  const ours = Object.entries(packages).filter(([, { dev, devOptional }]) => !dev && !devOptional);
  return new Set(
    ours.map(([path, { name, version }]) => `${name ?? path.split('node_modules/').at(-1)}@${version}`),
  );
}

const flags = ['--sbom-format', 'cyclonedx', '--package-lock-only'];
const output = execFileSync('npm', ['sbom', ...flags], { encoding: 'utf8', maxBuffer: 1 << 26 });
const whole = JSON.parse(output) as Bom;
const kept = needed();
const components = whole.components.filter((component) => kept.has(component['bom-ref']));
const dependencies = whole.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) }));
console.log(JSON.stringify({ ...whole, components, dependencies }, null, 2));
