/** The one file that workers run: complete, and without what a start has no time for. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { roleCommand } from '../../src/core/main/child.js';

const loader = join(import.meta.dirname, '../../bin/worker.cjs');

/** Loads all of it as a worker without arguments, and tells afterwards which files and modules of Node that took. */
const report = `
  const { registerHooks } = require('node:module');
  const files = [];
  registerHooks({ load: (url, context, next) => (files.push(url), next(url, context)) });
  process.on('exit', () => {
    const builtins = process.moduleLoadList.map((entry) => entry.split(' ').at(-1));
    console.log(JSON.stringify({ files: files.filter((url) => url.startsWith('file:')), builtins }));
  });
  require(process.argv[1]);`;

function load(env: NodeJS.ProcessEnv): { log: string; files: string[]; builtins: string[] } {
  const args = ['--disable-sigusr1', '-e', report, loader, 'worker'];
  // No ring: the worker would start itself anew, without the hooks.
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    env: { UV_USE_IO_URING: '0', ...env },
    encoding: 'utf8',
  });
  return { log: stderr, ...(JSON.parse(stdout) as { files: string[]; builtins: string[] }) };
}

test('a worker loads one file besides the addon', () => {
  const { log, files, builtins } = load({ VPN_LOG_FORMAT: 'json' });
  expect(JSON.parse(log)).toMatchObject({ role: 'worker', level: 60, err: { code: 'OCS_WORKER_ARGUMENTS' } });
  expect(files.map((url) => url.split('/').at(-1))).toEqual(['worker.cjs']);
  expect(builtins).toContain('stream');
  expect(builtins.filter((name) => /undici|webstreams|^_?http|^tls$/.test(name))).toEqual([]);
});

test('what makes the log for people comes from its own package', () => {
  const { log, files } = load({ VPN_LOG_FORMAT: 'human' });
  expect(log).toMatch(/worker: .*--main is missing/);
  expect(files.some((url) => url.includes('/node_modules/pino-pretty/'))).toBe(true);
});

test('what was compiled at the build is taken by V8 with the flags that main gives a worker', () => {
  const told = `
    const vm = require('node:vm');
    const { Script } = vm;
    vm.Script = class extends Script {
      constructor(...args) {
        super(...args);
        console.log(this.cachedDataRejected);
      }
    };
    require(process.argv[1]);`;
  const [node = '', ...command] = roleCommand(['worker']);
  const flags = command.filter((word) => word.startsWith('--'));
  const rejected = (...more: string[]): string => {
    const args = [...flags, ...more, '-e', told, loader, 'worker'];
    return spawnSync(node, args, { env: { UV_USE_IO_URING: '0' }, encoding: 'utf8' }).stdout.trim();
  };
  expect(flags).not.toEqual([]);
  expect(rejected()).toBe('false');
  // It works without, too.
  expect(rejected('--no-opt')).toBe('true');
});
