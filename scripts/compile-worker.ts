/**
 * Writes what V8 makes of a worker's file, all its functions, beside it: FOLDER/bundle.cache, which bin/worker.cjs loads. It is good
 * for the version of Node and the flags of V8 that it was made with.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const [folder = 'dist/core/worker'] = process.argv.slice(2);

setFlagsFromString('--no-lazy');
const script = new Script(Module.wrap(readFileSync(join(folder, 'bundle.cjs'), 'utf8')));
// The flags are kept with the result; a worker has this one as it was.
setFlagsFromString('--lazy');
writeFileSync(join(folder, 'bundle.cache'), script.createCachedData());
