#!/usr/bin/env node
/**
 * Launcher of the `vpn` command. Plain JavaScript that any Node since 14 can read, because its first duty is to
 * leave a Node that is too old: it starts itself again under the runtime that npm installed (node_modules/.bin/node).
 *
 * The role processes are sent to their entry files before oclif is loaded: they start faster, and the worker
 * never has command-line code in its memory.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const OLDEST_NODE = 24;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'];
const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));
const argv = process.argv.slice(2);

const tooOld = Number(process.versions.node.split('.')[0]) < OLDEST_NODE;
if (tooOld) runUnderPinnedNode();
else await dispatch();

/** Same arguments, descriptors and signals under the pinned runtime; ends as that process ends. */
function runUnderPinnedNode() {
  const node = join(root, 'node_modules', '.bin', 'node');
  if (!existsSync(node)) {
    process.stderr.write(
      `vpn needs Node ${OLDEST_NODE} or newer; this is ${process.version}. Run "npm ci" in ${root} to install the right one.\n`,
    );
    process.exit(1);
  }
  const child = spawn(node, [self, ...argv], { stdio: Array(inheritedDescriptors()).fill('inherit') });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`vpn: ${node} cannot be started: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
}

/** 0 to 2, and up to N with --fd N (the connection that a supervisor hands to `vpn worker`). */
function inheritedDescriptors() {
  const at = argv.findIndex((word) => word === '--fd' || word.startsWith('--fd='));
  if (at < 0) return 3;
  const fd = Number(argv[at] === '--fd' ? argv[at + 1] : argv[at].slice('--fd='.length));
  return Number.isInteger(fd) && fd >= 3 && fd < 1024 ? fd + 1 : 3;
}

async function dispatch() {
  const wantsHelp = argv.includes('--help') || argv.includes('-h');
  // Made last of all.
  const workerCache = join(root, 'dist/core/worker/bundle.cache');
  if (!existsSync(workerCache)) {
    process.stderr.write(`vpn is not built yet. Run "npm run build" in ${root}, or use "npm start".\n`);
    process.exit(1);
  }
  if (argv[0] === 'worker' && !wantsHelp) {
    createRequire(self)('./worker.cjs');
    return;
  }
  if (argv[0] === 'secmod' && !wantsHelp) {
    const { runSecmod } = await import(pathToFileURL(join(root, 'dist/core/secmod/entry.js')).href);
    return runSecmod(argv.slice(1));
  }
  const { flush, run, settings } = await import('@oclif/core');
  // Commands are always those of dist; oclif would look for TypeScript and say that it is not there.
  settings.enableAutoTranspile = false;
  // oclif complains of plugins that are not there; ours may be left out.
  const { installedOf } = await import(pathToFileURL(join(root, 'dist/core/plugins/bundled.js')).href);
  const packageFile = join(root, 'package.json');
  const pjson = JSON.parse(readFileSync(packageFile, 'utf8'));
  pjson.oclif.plugins = installedOf(packageFile, pjson.oclif.plugins);
  // Plugins of ours are not oclif's: nothing is looked for in the home directory, which a service may not read.
  try {
    await run(argv, { root, pjson, userPlugins: false });
    await flush();
  } catch (error) {
    const { reportFailure } = await import(pathToFileURL(join(root, 'dist/core/cli/failure.js')).href);
    await reportFailure(error);
  }
}
