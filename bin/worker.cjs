/**
 * Loads all that a worker runs (scripts/bundle-worker.ts), with what V8 made of it when it was built: a worker then neither
 * reads 10,000 lines of source at its start nor compiles each function at its first login. V8 checks that version and
 * flags are those of the build, and reads the source if they are not.
 */
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const { dirname, join } = require('node:path');
const { Script } = require('node:vm');

const path = join(__dirname, '../dist/core/worker/bundle.cjs');
const script = new Script(Module.wrap(readFileSync(path, 'utf8')), {
  filename: path,
  cachedData: readFileSync(join(dirname(path), 'bundle.cache')),
});
script.runInThisContext()({}, Module.createRequire(path), {}, path, dirname(path));
