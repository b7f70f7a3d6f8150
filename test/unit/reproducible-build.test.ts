/** An addon is the same bytes wherever it is built; scripts/reproducible.sh compares all of them, here it is the smallest one. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

test('a second build in another directory has the same bytes', { timeout: 180_000 }, () => {
  const output = execFileSync('bash', ['scripts/reproducible.sh', 'src/plugins/auth-plain/native'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(output).toMatch(/^[0-9a-f]{64} {2}src\/plugins\/auth-plain\S+ is the same$/m);
});

test('the addon of the server does not name the directory that it was built in', () => {
  const addon = readFileSync(join(root, 'native/build/Release/ocvpn.node'));
  expect(addon.includes(`${root}/`)).toBe(false);
  expect(addon.includes('/ocvpn/native/')).toBe(true);
});
