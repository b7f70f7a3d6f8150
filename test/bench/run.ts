/** `npm run bench`: our server and ocserv in turn, the same clients, the same traffic; prints ratios. */
import { writeFileSync } from 'node:fs';
import { sweepStale } from '../support/sweep.ts';
import { cases } from './cases.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type BenchOptions, readOptions, usage } from './options.ts';
import { Peer } from './peers.ts';
import { canDivide, divideCores } from './placement.ts';
import { type Figure, type Sample, summarize, table } from './report.ts';
import { Side } from './side.ts';
import { check } from './thresholds.ts';
import { buildBatchedClient } from './tunnels.ts';

function fail(error: unknown): never {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof Error && error.cause instanceof Error) console.error(`bench: ${error.cause.message}`);
  process.exit(2);
}

function progress(sample: Sample): void {
  const { steps = [], ...total } = sample.measured;
  for (const measured of [...steps, total]) {
    const figures = Object.entries(measured).map(
      ([name, value]) => `${name} ${Number(value.toPrecision(4))}`,
    );
    console.error(
      `round ${sample.round}  ${sample.server.padEnd(12)}  ${sample.case.padEnd(18)}  ${figures.join('  ')}`,
    );
  }
}

interface Contestant {
  readonly name: Sample['server'];
  readonly side: Side | Peer;
}

/**
 * Both servers are up all the time and measured in turn, case by case: whatever else the machine does meets both. Each
 * goes first every other round.
 */
async function compare(
  contestants: readonly Contestant[],
  { rounds, cases: names, allCores }: BenchOptions,
  samples: Sample[],
): Promise<void> {
  let divided = false;
  for (const one of cases.filter(({ name }) => names.includes(name))) {
    const taking = contestants.filter(({ side }) => side.takes(one));
    const wanted = one.tunnel !== undefined && one.oneCore === true && !allCores && canDivide();
    if (wanted !== divided) {
      await divideCores(
        contestants.map(({ side }) => side.pid),
        wanted,
      );
      divided = wanted;
    }
    // The tunnels are opened before the first measurement: none of it meets the other server's figures.
    for (const { side } of taking) await side.prepare(one);
    for (let round = 1; round <= rounds; round += 1) {
      for (const { name: server, side } of round % 2 === 1 ? taking : taking.toReversed()) {
        const sample: Sample = { case: one.name, server, round, measured: await side.measure(one) };
        samples.push(sample);
        progress(sample);
      }
    }
  }
}

/** Rejects when the user stops the run, so that it ends as after a failure: with nothing left behind. */
function stopped(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`stopped by ${signal}`)));
  });
}

interface Outcome {
  machine: Machine;
  readonly samples: Sample[];
}

/** Fills `outcome`, so that what was measured before a failure is not lost. */
async function measure(options: BenchOptions, outcome: Outcome): Promise<void> {
  const contestants: Contestant[] = [];
  const stop = stopped();
  // It may come before anything waits for it; it is met below.
  stop.catch(() => undefined);
  try {
    const servers = [
      ['reference', 'ocserv'],
      ['ours', options.against],
    ] as const;
    for (const [name, kind] of options.alone ? servers.slice(1) : servers) {
      const side = await Side.open({ kind, id: `${process.pid}.${name}`, options });
      contestants.push({ name, side });
      outcome.machine = await describeMachine(options, side.meter.kind);
    }
    for (const name of options.peers) contestants.push({ name, side: await Peer.open(name, options) });
    await Promise.race([stop, compare(contestants, options, outcome.samples)]);
  } catch (error) {
    if (options.verbose) for (const { side } of contestants) console.error(side.lab.report());
    throw error;
  } finally {
    for (const { side } of contestants) await side.close();
  }
}

function publish(options: BenchOptions, { machine, samples }: Outcome): Figure[] {
  const figures = summarize(samples);
  for (const [name, value] of Object.entries(machine)) console.log(`${`${name}:`.padEnd(20)}${value}`);
  const ours = options.against === 'ocserv' ? 'ocserv again' : 'ours';
  console.log(`\n${table(figures, { reference: 'ocserv', ours }, options.verbose)}`);
  console.log(
    `\nMedians of ${options.rounds} rounds of ${options.seconds} s; ↓ less is better, ↑ more is better. Only the ratios count.`,
  );
  if (options.json !== undefined) {
    const text = `${JSON.stringify({ machine, options: { ...options, json: undefined }, samples, figures }, null, 2)}\n`;
    if (options.json === '-') process.stdout.write(text);
    else writeFileSync(options.json, text);
  }
  return figures;
}

async function main(options: BenchOptions): Promise<void> {
  sweepStale();
  await buildBatchedClient();
  const outcome: Outcome = { machine: {}, samples: [] };
  try {
    await measure(options, outcome);
  } catch (error) {
    if (outcome.samples.length > 0) publish(options, outcome);
    fail(error);
  }
  const figures = publish(options, outcome);
  if (!options.check) return;
  const verdicts = check(figures, options.clients);
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
