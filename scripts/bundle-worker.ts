/**
 * Writes everything that a worker runs into one file, DIST/core/worker/bundle.cjs, and compiles it. Workers are started while clients wait, and
 * reading some 180 modules costs more than all else in their start. CommonJS, because an `import` of node:http or node:fs
 * reads every property of the module, and with that loads what Node keeps for the first use (its HTTP client, web streams).
 */
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { rolldown } from 'rolldown';

const [dist = 'dist'] = process.argv.slice(2);
const folder = resolve(dist, 'core/worker');

const bundle = await rolldown({ input: resolve(folder, 'start.js'), platform: 'node' });
await bundle.write({ file: resolve(folder, 'bundle.cjs'), format: 'cjs', codeSplitting: false });
await bundle.close();
// The flag of V8 that main starts workers with (src/core/main/child.ts).
execFileSync(process.execPath, [
  '--single-threaded',
  resolve(import.meta.dirname, 'compile-worker.ts'),
  folder,
]);
