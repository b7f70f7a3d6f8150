/**
 * Says which tests passed only when they were run again, and why they had failed: a second attempt keeps a busy
 * machine from failing a run, but it must not hide anything.
 */
import type { Reporter, TestCase } from 'vitest/node';

export default class RetryReporter implements Reporter {
  private readonly lines: string[] = [];

  onTestCaseResult(test: TestCase): void {
    if (!test.diagnostic()?.flaky) return;
    const reasons = test.result().errors?.map((error) => error.message) ?? [];
    this.lines.push(`  ${test.module.relativeModuleId} > ${test.fullName}: ${reasons.join('; ')}`);
  }

  onTestRunEnd(): void {
    if (this.lines.length === 0) return;
    console.log(`passed only at the second attempt (${this.lines.length}):`);
    for (const line of this.lines) console.log(line);
  }
}
