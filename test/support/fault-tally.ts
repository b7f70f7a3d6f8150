/** Counts the faults that the tests make; fault-reporter.ts prints the sum at the end of the run. */
import { TestRunner } from 'vitest';

export interface TriedFault {
  readonly fault: string;
  /** Sessions that it ended: the victim's, since a test fails when it loses another. */
  readonly lost: number;
  /** Connects after which nothing was left; 0 where that was not counted. */
  readonly connects: number;
}

declare module 'vitest' {
  interface TaskMeta {
    faults?: TriedFault[];
  }
}

/**
 * To be called when everything that the fault must not do was looked for in vain. `lost`: sessions that it ended;
 * `connects`: after so many nothing was left of them.
 */
export function tally(fault: string, lost = 0, connects = 0): void {
  const test = TestRunner.getCurrentTest();
  if (!test) throw new Error('a fault is told outside of a test');
  test.meta.faults ??= [];
  test.meta.faults.push({ fault, lost, connects });
}
