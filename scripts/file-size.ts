/** A file is one thing: none of the sources may be longer than the limit. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const LIMIT = 450;
const FOLDERS = ['src', 'native/src', 'native/test', 'native/fuzz', 'native/bench', 'test', 'scripts', 'bin'];
/** Tables that are read as a whole and would be worse in parts. */
const TABLES = new Set(['src/core/ipc/messages.ts']);
const SOURCES = /\.(ts|js|mjs|cc|h|sh)$/;

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!['node_modules', 'build', 'dist'].includes(entry.name)) yield* sources(path);
    } else if (SOURCES.test(entry.name)) yield path;
  }
}

let seen = 0;
for (const folder of FOLDERS) {
  let paths: string[];
  try {
    paths = [...sources(folder)];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
    throw error;
  }
  for (const path of paths) {
    seen += 1;
    const lines = readFileSync(path, 'utf8').split('\n').length - 1;
    if (lines <= LIMIT || TABLES.has(path)) continue;
    console.error(`${path}: ${lines} lines, at most ${LIMIT} are allowed: split it by topic`);
    process.exitCode = 1;
  }
}
console.log(`${seen} files`);
if (seen === 0) process.exitCode = 1;
