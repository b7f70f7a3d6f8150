import { defineConfig } from 'vitest/config';

/** unit: in one process, seconds. interop: real clients and servers in network namespaces, as root. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{unit,property,golden,types}/**/*.test.ts', 'src/plugins/*/test/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          pool: 'forks',
          // Scenarios mostly wait (timers, retransmissions); more files at once would disturb the throughput ones.
          maxWorkers: 2,
        },
      },
    ],
  },
});
