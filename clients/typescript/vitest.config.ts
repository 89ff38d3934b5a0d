import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = fileURLToPath(new URL('src', import.meta.url));

export default defineConfig({
  // The examples name this package as its users do.
  resolve: {
    alias: [
      { find: /^llm-accounting-client$/, replacement: `${source}/index.ts` },
      { find: /^llm-accounting-client\/(.+)$/, replacement: `${source}/$1.ts` },
    ],
  },
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
