import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    // Browser tests need a Chromium, which a fresh machine has not: npm run test:browser names it.
    include: process.env.CHROMIUM
      ? ['test/browser/*.browser-spec.ts']
      : ['src/**/*.spec.ts', 'test/**/*.{spec,e2e-spec}.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Each file has a database and a service of its own; more files at once than cores only makes them slower.
    maxWorkers: 2,
    reporters: ['default'],
  },
});
