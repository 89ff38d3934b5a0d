import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What must hold as well when the requests of one user reach several instances on one database. */
const SHARED = [
  'test/credits/*.spec.ts',
  'test/streaming-sessions/*.spec.ts',
  'test/usage/*.spec.ts',
  'test/api-keys/*.spec.ts',
  'test/pricing/*.spec.ts',
  'test/integrations/*.spec.ts',
];

/** What must hold as well when no movements are combined. */
const MOVING = [
  'test/credits/*.spec.ts',
  'test/streaming-sessions/*.spec.ts',
  'test/usage/*.spec.ts',
  'test/proof/laws/*.spec.ts',
];

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Each file has a database and a service of its own; more files at once than cores only makes them slower.
    maxWorkers: 2,
    reporters: ['default'],
    // Browser tests need a Chromium, which a fresh machine has not: npm run test:browser names it.
    projects: process.env.CHROMIUM
      ? [{ extends: true, test: { name: 'browser', include: ['test/proof/browser/*.spec.ts'] } }]
      : [
          {
            extends: true,
            test: {
              name: 'one instance',
              include: ['src/**/*.spec.ts', 'test/**/*.spec.ts'],
              exclude: ['test/proof/browser/**'],
            },
          },
          {
            extends: true,
            test: { name: 'one by one', include: MOVING, env: { TEST_COMBINE_MOVEMENTS: 'off' } },
          },
          {
            extends: true,
            test: { name: 'two instances', include: SHARED, env: { TEST_INSTANCES: '2' } },
          },
        ],
  },
});
