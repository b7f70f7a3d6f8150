import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBoundaries } from '../../../scripts/boundaries.ts';

/** A small clean tree with a module in every guarded folder. */
const clean: Record<string, string> = {
  'src/core/errors.ts': 'export const fine = 1;\n',
  'src/core/ipc/codec.ts': "export { fine } from '../errors.js';\n",
  'src/core/wire/dtls-hello.ts': 'export const hello = 1;\n',
  'src/core/wire/cstp.ts': 'export const frame = 1;\n',
  'src/core/session/timers.ts': "export { frame } from '../wire/cstp.js';\n",
  'src/core/main/entry.ts': "export { hello } from '../wire/dtls-hello.js';\n",
  'src/core/secmod/keys.ts': "export { readFileSync as readKey } from 'node:fs';\n",
  'src/core/worker/entry.ts': "export { fine } from '../ipc/codec.js';\n",
};

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ocv-boundaries-'));
  plant(clean);
});
afterEach(() => rmSync(root, { recursive: true }));

function plant(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

test('a clean tree has no violation, and its modules were seen', async () => {
  expect(await checkBoundaries(root)).toEqual({ modules: Object.keys(clean).length, violations: [] });
});

test('a tree in which a guarded folder is not seen does not pass', async () => {
  rmSync(join(root, 'src/core/worker'), { recursive: true });
  const { violations } = await checkBoundaries(root);
  expect(violations).toEqual([expect.stringContaining('nothing-seen: no module in src/core/worker/')]);
});

test.for<[rule: string, files: Record<string, string>]>([
  [
    'worker-holds-no-secrets',
    {
      'src/core/util/helper.ts': "export { readKey } from '../secmod/keys.js';\n",
      'src/core/worker/entry.ts': "export { readKey } from '../util/helper.js';\n",
    },
  ],
  ['main-holds-no-back-ends', { 'src/core/main/entry.ts': "export { readKey } from '../secmod/keys.js';\n" }],
  ['main-parses-no-client-data', { 'src/core/main/entry.ts': "export { frame } from '../wire/cstp.js';\n" }],
  ['secmod-serves-no-client', { 'src/core/secmod/x.ts': "export { frame } from '../wire/cstp.js';\n" }],
  ['wire-is-pure', { 'src/core/wire/cstp.ts': "import net from 'node:net';\nexport const frame = net;\n" }],
  ['session-is-pure', { 'src/core/wire/cstp.ts': "import fs from 'fs';\nexport const frame = fs;\n" }],
  [
    'no-cycles',
    {
      'src/core/wire/a.ts': "import { b } from './b.js';\nexport const a = (): unknown => b;\n",
      'src/core/wire/b.ts': "import { a } from './a.js';\nexport const b = (): unknown => a;\n",
    },
  ],
  [
    'ipc-knows-no-role',
    {
      'src/core/ipc/codec.ts': "export { fine } from '../worker/fine.js';\n",
      'src/core/worker/fine.ts': 'export const fine = 1;\n',
    },
  ],
  [
    'plugins-use-the-published-interface',
    {
      'src/core/plugin-api/index.ts': 'export const api = 1;\n',
      'src/plugins/auth-x/src/index.ts':
        "export { api } from '../../../core/plugin-api/index.js';\nexport { readKey } from '../../../core/secmod/keys.js';\n",
    },
  ],
  ['leaves-are-leaves', { 'src/core/errors.ts': "export { hello as fine } from './wire/dtls-hello.js';\n" }],
  ['resolvable', { 'src/core/worker/entry.ts': "export { fine } from './nowhere.js';\n" }],
])('%s: a planted violation is caught', async ([rule, files]) => {
  plant(files);
  const { violations } = await checkBoundaries(root);
  expect(violations).toContainEqual(expect.stringContaining(`${rule}: `));
});

test('an import of types alone is no reach', async () => {
  plant({
    'src/core/worker/entry.ts':
      "import type { readKey } from '../secmod/keys.js';\nexport type Key = typeof readKey;\n",
  });
  expect((await checkBoundaries(root)).violations).toEqual([]);
});
