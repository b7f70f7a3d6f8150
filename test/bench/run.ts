/** `npm run bench`: our server and ocserv in turn, the same clients, the same traffic; prints ratios. */
import { writeFileSync } from 'node:fs';
import { describeMachine, type Machine } from './machine.ts';
import { type BenchOptions, readOptions, usage } from './options.ts';
import { type Sample, summarize, table } from './report.ts';
import { runSide, type SideRun } from './side.ts';
import { check } from './thresholds.ts';

function fail(error: unknown): never {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(2);
}

function progress(sample: Sample): void {
  const measured = Object.entries(sample.measured).map(
    ([name, value]) => `${name} ${Number(value.toPrecision(4))}`,
  );
  console.error(
    `round ${sample.round}  ${sample.server.padEnd(9)}  ${sample.case.padEnd(18)}  ${measured.join('  ')}`,
  );
}

async function measure(options: BenchOptions): Promise<{ machine: Machine; samples: Sample[] }> {
  const samples: Sample[] = [];
  let machine: Machine = {};
  const sides = [
    { server: 'reference', kind: 'ocserv' },
    { server: 'ours', kind: options.against },
  ] as const;
  for (let round = 1; round <= options.rounds; round += 1) {
    // Each goes first every other round: what a machine does over time meets both.
    for (const { server, kind } of round % 2 === 1 ? sides : sides.toReversed()) {
      const started: SideRun['started'] = async (lab, { kind: measured }) => {
        machine = await describeMachine(lab, options.ocserv, measured);
      };
      await runSide({
        kind,
        id: `bench.${round}.${server}`,
        options,
        ...(round === 1 && server === 'reference' ? { started } : {}),
        result: ({ case: name, measured }) => {
          const sample: Sample = { case: name, server, round, measured };
          samples.push(sample);
          progress(sample);
        },
      });
    }
  }
  return { machine, samples };
}

async function main(options: BenchOptions): Promise<void> {
  const { machine, samples } = await measure(options);
  const figures = summarize(samples);
  for (const [name, value] of Object.entries(machine)) console.log(`${`${name}:`.padEnd(20)}${value}`);
  const ours = options.against === 'ocserv' ? 'ocserv again' : 'ours';
  console.log(`\n${table(figures, { reference: 'ocserv', ours })}`);
  console.log(
    `\nMedians of ${options.rounds} rounds of ${options.seconds} s; ↓ less is better, ↑ more is better. Only the ratios count.`,
  );
  if (options.json !== undefined) {
    const text = `${JSON.stringify({ machine, options, samples, figures }, null, 2)}\n`;
    if (options.json === '-') process.stdout.write(text);
    else writeFileSync(options.json, text);
  }
  if (!options.check) return;
  const verdicts = check(figures);
  for (const { severity, text } of verdicts) console.log(`${severity}: ${text}`);
  if (verdicts.some(({ severity }) => severity === 'fail')) process.exitCode = 1;
}

let options: BenchOptions | undefined;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  fail(error);
}
if (options) await main(options).catch(fail);
else console.log(usage);
