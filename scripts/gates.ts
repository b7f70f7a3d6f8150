/**
 * Runs the gates of the project one after the other and closes with "N passed, N failed". Without arguments all of
 * them; with names only those (`gates.ts lint types`); what follows a single `unit`, `interop` or `asan` goes to vitest.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { REPORTERS } from '../test/support/reporters.ts';
import { sweepRun, sweepStale } from '../test/support/sweep.ts';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}
interface Gate {
  readonly what: string;
  readonly command: readonly string[];
  /** How its result is counted: as one check, from vitest's report, or from lines "N tests, N failed". */
  readonly counted: 'once' | 'vitest' | 'lines';
  /** Arguments when none are given. */
  readonly chosen?: readonly string[];
  /** Test files that cannot run in it, and why. */
  readonly leftOut?: Readonly<Record<string, string>>;
}

const SEARCHES_MEMORY = "it searches the memory of processes, and ASan's shadow has terabytes of it";

const gates: Readonly<Record<string, Gate>> = {
  lint: {
    what: 'format and lint (biome)',
    command: ['biome', 'check', '--error-on-warnings', '.'],
    counted: 'once',
  },
  types: { what: 'types', command: ['tsc', '-p', 'tsconfig.test.json'], counted: 'once' },
  boundaries: {
    what: 'module boundaries',
    command: [process.execPath, 'scripts/boundaries.ts'],
    counted: 'once',
  },
  unused: { what: 'unused files, exports and dependencies (knip)', command: ['knip'], counted: 'once' },
  size: { what: 'file lengths', command: [process.execPath, 'scripts/file-size.ts'], counted: 'once' },
  unit: {
    what: 'unit and property tests',
    command: ['vitest', 'run', '--project', 'unit'],
    counted: 'vitest',
  },
  native: {
    what: 'C++ tests',
    // Two runs in one checkout build in the same folder: one after the other.
    command: ['flock', 'build/native-test.lock', 'bash', 'native/test/run.sh'],
    counted: 'lines',
  },
  fuzz: {
    what: 'fuzz targets on the kept inputs',
    command: ['flock', 'build/native-test.lock', 'bash', 'scripts/fuzz.sh', '--seconds', '1'],
    counted: 'once',
  },
  interop: {
    what: 'interop tests',
    command: ['vitest', 'run', '--project', 'interop'],
    counted: 'vitest',
  },
  asan: {
    what: 'interop tests with ASan and UBSan in the server',
    command: ['bash', 'scripts/sanitized.sh', 'vitest', 'run', '--project', 'interop'],
    counted: 'vitest',
    // All of them take most of an hour.
    chosen: [
      ...['test/interop/login.test.ts', 'test/interop/dtls.test.ts'],
      ...['-t', '(three wrong passwords|a chosen group reaches|PSK-NEGOTIATE: ping)'],
    ],
    leftOut: {
      'test/interop/roles.test.ts': SEARCHES_MEMORY,
      'test/interop/secrets.test.ts': SEARCHES_MEMORY,
      'test/interop/systemd.test.ts': "the units' sandbox hides the sanitizers' libraries",
      'test/interop/upgrade.test.ts': 'npm builds the addon of the package that it installs, without checks',
    },
  },
};

const RESULTS = 'build/test-results';
/** Names what this run creates (namespaces), so that it can clean up after tests that died. */
const runId = String(process.pid);
let running: ReturnType<typeof spawn> | undefined;

function run(command: readonly string[], capture: boolean): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const [file = '', ...args] = command;
    const child = spawn(file, args, {
      stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit'],
      env: { ...process.env, OCVPN_TEST_RUN: runId },
    });
    running = child;
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk;
      process.stdout.write(chunk);
    });
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code, signal) => {
      if (signal) console.error(`ended by ${signal}`);
      resolve({ code: code ?? 1, output });
    });
  });
}

/** Reads vitest's JSON report; a run that failed before or beside its tests counts as one more failure. */
function tallyOfVitest(report: string, code: number): Tally {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const result = JSON.parse(readFileSync(report, 'utf8')) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
  };
  const failed = result.numFailedTests > 0 || code === 0 ? result.numFailedTests : 1;
  return { passed: result.numPassedTests, failed, skipped: result.numPendingTests };
}

/** Adds up the lines "N tests, N failed" of the test programs. */
function tallyOfLines(output: string, code: number): Tally {
  let tests = 0;
  let failed = 0;
  for (const [, ran, bad] of output.matchAll(/^\s*(\d+) tests, (\d+) failed$/gm)) {
    tests += Number(ran);
    failed += Number(bad);
  }
  // A program that died counts nothing, and a run without tests is no success.
  if (failed === 0 && (code !== 0 || tests === 0)) failed = 1;
  return { passed: Math.max(0, tests - failed), failed, skipped: 0 };
}

async function runGate(name: string, gate: Gate, extra: readonly string[]): Promise<Tally> {
  const started = performance.now();
  const told = extra.length > 0 ? extra : (gate.chosen ?? []);
  console.log(`\n== ${name}: ${gate.what}`);
  const report = `${RESULTS}/${name}-${runId}.json`;
  // Beside those of vitest.config.ts, which a flag would replace.
  const vitestFlags = [...REPORTERS, 'json'].map((name) => `--reporter=${name}`);
  vitestFlags.push(`--outputFile.json=${report}`);
  const { leftOut = {} } = gate;
  for (const [file, why] of Object.entries(leftOut)) console.log(`left out: ${file}: ${why}`);
  const without = Object.keys(leftOut).flatMap((file) => ['--exclude', file]);
  const command = [...gate.command, ...without, ...(gate.counted === 'vitest' ? vitestFlags : []), ...told];
  const { code, output } = await run(command, gate.counted === 'lines');
  let tally: Tally = { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  if (gate.counted === 'vitest') tally = tallyOfVitest(report, code);
  if (gate.counted === 'lines') tally = tallyOfLines(output, code);
  // What -t leaves out is no test that could not run.
  if (told.includes('-t')) tally.skipped = 0;
  rmSync(report, { force: true });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`== ${name}: ${tally.failed === 0 ? 'ok' : 'FAILED'} (${seconds} s)`);
  return tally;
}

async function main(args: readonly string[]): Promise<void> {
  const first = args.findIndex((arg) => !(arg in gates));
  const named = first < 0 ? args : args.slice(0, first);
  const extra = first < 0 ? [] : args.slice(first);
  if (extra.length > 0 && named.length !== 1) {
    throw new Error(`"${extra[0]}" is not a gate; there are: ${Object.keys(gates).join(' ')}`);
  }
  mkdirSync(RESULTS, { recursive: true });
  sweepStale();
  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  const failed: string[] = [];
  for (const [name, gate] of Object.entries(gates)) {
    if (named.length > 0 && !named.includes(name)) continue;
    const tally = await runGate(name, gate, extra);
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
    if (tally.failed > 0) failed.push(name);
  }
  sweepRun(runId);
  if (failed.length > 0) console.log(`\nfailed: ${failed.join(', ')}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    running?.kill(signal);
    running?.once('close', () => {
      sweepRun(runId);
      process.exit(130);
    });
  });
}

await main(process.argv.slice(2));
