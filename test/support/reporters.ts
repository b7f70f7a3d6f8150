/** What tells about a run of the tests, started by hand or as a gate. */
export const REPORTERS: readonly string[] = [
  'default',
  './test/support/retry-reporter.ts',
  './test/support/fault-reporter.ts',
];
