import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/*.spec.ts'],
    globalSetup: 'test/support/global-setup.ts',
    testTimeout: 20_000,
    // A dropped stream is noticed when it is collected.
    pool: 'forks',
    execArgv: ['--expose-gc'],
    // Two processes of the service and its database share the machine.
    maxWorkers: 2,
  },
});
