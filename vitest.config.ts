import { defineConfig } from 'vitest/config';
import { REPORTERS } from './test/support/reporters.ts';

// Real processes and networks on a busy machine; test/support/retry-reporter.ts names what needed it.
const SECOND_ATTEMPTS = 1;

/** unit: in one process, seconds. interop: real clients and servers in network namespaces, as root. */
export default defineConfig({
  test: {
    reporters: [...REPORTERS],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{unit,property,golden,types}/**/*.test.ts', 'src/plugins/*/test/**/*.test.ts'],
          testTimeout: 20_000,
          retry: SECOND_ATTEMPTS,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          retry: SECOND_ATTEMPTS,
          pool: 'forks',
          // Scenarios mostly wait (timers, retransmissions); more files at once would disturb the throughput ones.
          maxWorkers: 2,
        },
      },
    ],
  },
});
