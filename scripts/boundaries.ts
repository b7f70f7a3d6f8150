/** Checks the import rules over src/: prints each violation with its path, exits 1 if there is one. */
import { pathToFileURL } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { forbidden, guardedFolders } from './boundary-rules.ts';

interface BoundaryReport {
  /** Modules of the project that were looked at. */
  readonly modules: number;
  readonly violations: readonly string[];
}

/**
 * Checks the tree below `root`/src. Besides broken rules it reports guarded folders in which it saw no module: a
 * reader that cannot read the sources (a new TypeScript, a moved folder) must not pass for a clean tree.
 */
export async function checkBoundaries(root: string): Promise<BoundaryReport> {
  const { output } = await cruise(['src'], {
    baseDir: root,
    validate: true,
    ruleSet: { forbidden },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/plugins/[^/]+/(dist|native)/' },
    tsPreCompilationDeps: false,
    externalModuleResolutionStrategy: 'node_modules',
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  });
  const result = output as ICruiseResult;
  const sources = result.modules.map((module) => module.source).filter((path) => path.startsWith('src/'));
  const unseen = guardedFolders
    .filter((folder) => !sources.some((path) => path.startsWith(folder)))
    .map((folder) => `nothing-seen: no module in ${folder}, so its rules check nothing`);
  const broken = result.summary.violations.map((violation) => {
    const way = violation.via ?? violation.cycle;
    const path = way ? way.map((step) => step.name).join(' → ') : violation.to;
    return `${violation.rule.name}: ${violation.from} → ${path}`;
  });
  return { modules: sources.length, violations: [...unseen, ...broken] };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { modules, violations } = await checkBoundaries(process.cwd());
  for (const line of violations) console.error(line);
  console.log(`${modules} modules, ${violations.length} violations`);
  if (violations.length > 0) process.exitCode = 1;
}
