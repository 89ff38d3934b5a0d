import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const CITUS = process.env.CITUS ?? '/usr/lib/postgresql/15/lib/citus.so';
const PGBOUNCER = process.env.PGBOUNCER ?? '/usr/sbin/pgbouncer';

/** What test/README.md says of these tags. */
const TAGS = [
  {
    name: 'two-instances',
    description: 'holds as well when one user’s requests reach two instances by turns',
  },
  { name: 'pooler', description: 'holds as well through a pooler in transaction mode' },
  { name: 'cluster', description: 'holds as well on a Citus cluster' },
  { name: 'one-by-one', description: 'holds as well when no movements are combined' },
];

/** The files that have this tag. */
const tagged = (tag: string) =>
  readdirSync(`${ROOT}/test`, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.spec.ts'))
    .map((file) => `test/${file}`)
    .filter((file) => readFileSync(ROOT + file, 'utf8').includes(`// @module-tag ${tag}\n`));

export default defineConfig({
  root: ROOT,
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Each file has a database and a service of its own; more files at once than cores only makes them slower.
    maxWorkers: 2,
    // The modules of the service are loaded once for each worker: for each file that took half of the time.
    isolate: false,
    reporters: ['default'],
    tags: TAGS,
    projects: [
      {
        extends: true,
        test: {
          name: 'product',
          include: ['src/**/*.spec.ts', 'test/**/*.spec.ts'],
          exclude: ['test/proof/**'],
        },
      },
      {
        extends: true,
        test: {
          name: 'proof',
          include: ['test/proof/**/*.spec.ts'],
          exclude: ['test/proof/browser/**', 'test/proof/pooler/**', 'test/proof/cluster/**'],
        },
      },
      {
        extends: true,
        test: { name: 'two instances', include: tagged('two-instances'), env: { TEST_INSTANCES: '2' } },
      },
      {
        extends: true,
        test: {
          name: 'one by one',
          include: tagged('one-by-one'),
          env: { TEST_COMBINE_MOVEMENTS: 'off' },
        },
      },
      // A fresh machine has neither a pooler nor a browser.
      ...(existsSync(PGBOUNCER)
        ? [
            {
              extends: true as const,
              test: {
                name: 'pooler',
                include: [...tagged('pooler'), 'test/proof/pooler/*.spec.ts'],
                env: { TEST_POOLER: PGBOUNCER },
              },
            },
          ]
        : []),
      ...(existsSync(CITUS)
        ? [
            {
              extends: true as const,
              test: {
                name: 'cluster',
                include: process.env.FILES.split(' '),
                env: { TEST_CITUS: CITUS },
              },
            },
          ]
        : []),
      ...(existsSync(CHROMIUM)
        ? [
            {
              extends: true as const,
              test: {
                name: 'browser',
                include: ['test/proof/browser/*.spec.ts'],
                env: { CHROMIUM },
                // As long as the page's own waits: a busy machine takes more than a second for a click's effect.
                expect: { poll: { timeout: 15_000 } },
              },
            },
          ]
        : []),
    ],
  },
});
