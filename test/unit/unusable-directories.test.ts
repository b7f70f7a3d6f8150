/**
 * Directories of state on a read-only or full file system: `vpn serve` and `vpn secmod` say in one sentence which directory
 * cannot be used and why, and begin nothing. Mounts are of a namespace of their own.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { folderPrefix } from '../support/sweep.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
let folder: string;
let mounted: string;

beforeAll(() => {
  folder = mkdtempSync(folderPrefix(String(process.pid), 'directories'));
  mounted = join(folder, 'mounted');
  mkdirSync(mounted);
});
afterAll(() => rmSync(folder, { recursive: true }));

const READ_ONLY = 'mount -t tmpfs -o ro none "$0"';
const FULL = 'mount -t tmpfs -o size=4k none "$0" && mkdir "$0/own" && ! head -c 4096 /dev/zero 2>&- >"$0/f"';

/** What the role says, and its exit status, with a file system made by `mount` on `mounted`. */
function start(mount: string, role: string, dataDir: string, runDir: string) {
  const command = [process.execPath, launcher, role, '--data-dir', dataDir, '--run-dir', runDir];
  const script = `${mount}; exec "$@"`;
  const { status, stderr, stdout } = spawnSync(
    'unshare',
    ['--mount', '--net', 'sh', '-c', script, mounted, ...command],
    {
      encoding: 'utf8',
    },
  );
  return { status, said: `${stdout}${stderr}`.trim().split('\n').at(-1) };
}

test.each([
  [
    'a run directory that cannot be made',
    READ_ONLY,
    'serve',
    'data',
    'mounted/run',
    /^vpn: The run directory \S+\/mounted\/run cannot be used: the file system is read-only\. /,
  ],
  [
    'a data directory that cannot be made',
    READ_ONLY,
    'serve',
    'mounted/data',
    'run',
    /^vpn: The data directory \S+\/mounted\/data cannot be used: the file system is read-only\. /,
  ],
  [
    'a run directory on a full disk',
    FULL,
    'serve',
    'data',
    'mounted/own',
    /^vpn: The run directory \S+\/mounted\/own cannot be used: the disk is full\. /,
  ],
  [
    'a data directory on a full disk',
    FULL,
    'serve',
    'mounted/own',
    'run',
    /^vpn: .* \S+\/mounted\/own\/first-user\.json cannot be used: the disk is full\. /,
  ],
  [
    'the data directory of a secmod by itself',
    READ_ONLY,
    'secmod',
    'mounted/data',
    'run',
    /"msg":"The data directory \S+\/mounted\/data\/pki cannot be used: the file system is read-only\. /,
  ],
])('%s', (_what, mount, role, dataDir, runDir, sentence) => {
  const { status, said } = start(mount, role, join(folder, dataDir), join(folder, runDir));
  expect(said).toMatch(sentence);
  expect(status).toBe(1);
});
