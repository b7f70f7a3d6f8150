/** Says at the end of a run which faults were tried and what they cost. */
import type { Reporter, TestCase } from 'vitest/node';
import type { TriedFault } from './fault-tally.ts';

export default class FaultReporter implements Reporter {
  /** By name: a second attempt tries a fault again. */
  private readonly tried = new Map<string, TriedFault>();
  private failed = 0;

  onTestCaseResult(test: TestCase): void {
    const { faults = [] } = test.meta();
    // Another fault of the same test may be the one that failed.
    if (test.result().state === 'failed') this.failed += faults.length > 0 ? 1 : 0;
    else for (const each of faults) this.tried.set(each.fault, each);
  }

  onTestRunEnd(): void {
    if (this.tried.size === 0 && this.failed === 0) return;
    const all = [...this.tried.values()];
    const sum = (of: (each: TriedFault) => number): number =>
      all.reduce((total, each) => total + of(each), 0);
    const lost = sum((each) => each.lost);
    const connects = sum((each) => each.connects);
    const leaks = connects > 0 ? `none after ${connects} connects` : 'not counted in this run';
    if (this.failed > 0) console.log(`${this.failed} tests of faults failed; this is of those that passed:`);
    console.log(`faults tried: ${all.length}, sessions lost: ${lost} (the victims'), of others: 0`);
    console.log(`  state lost: none, leaks: ${leaks}`);
    for (const { fault, lost } of all) console.log(`  ${fault}${lost > 0 ? ` (ended ${lost})` : ''}`);
  }
}
