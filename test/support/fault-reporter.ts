/** Says at the end of a run which faults were tried and what they cost. */
import type { Reporter, TestCase } from 'vitest/node';
import type { TriedFault } from './fault-tally.ts';

export default class FaultReporter implements Reporter {
  /** By name: a second attempt tries a fault again. */
  private readonly tried = new Map<string, TriedFault>();
  private failed = 0;

  onTestCaseResult(test: TestCase): void {
    const { faults = [] } = test.meta();
    for (const each of faults) this.tried.set(each.fault, each);
    if (faults.length > 0 && test.result().state === 'failed') this.failed += 1;
  }

  onTestRunEnd(): void {
    if (this.tried.size === 0) return;
    const all = [...this.tried.values()];
    const lost = all.reduce((sum, each) => sum + each.lost, 0);
    console.log(`faults tried: ${all.length}, sessions lost: ${lost}, all of them the victim's`);
    for (const { fault, lost } of all) console.log(`  ${fault}${lost > 0 ? ` (ended ${lost})` : ''}`);
    if (this.failed > 0) console.log(`  and ${this.failed} of these tests failed: see above`);
  }
}
