import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { requireCleanAudit } from './books.js';
import { onEnd, runToEnd } from './cleanup.js';
import { seed } from './seed-data.js';
import { startDatabase } from './servers.js';

const USAGE = `Fills a database of its own with a year of usage, for npm run bench:growth.

  npm run bench:seed -- [options]

  --records N       usage records; with them a tenth as many users, half as many ledger entries and a fiftieth as many
                    open sessions (default 1000000; 10000000 take some 10 GB of disk)
  --dir DIRECTORY   where it is kept until you remove it (default .data/bench-growth)
  --audit           has the service's own audit check every user afterwards
  --dist DIRECTORY  the built service (default dist)
`;
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
/** For the seed alone: fewer checkpoints. */
const SETTINGS = { max_wal_size: '4GB', checkpoint_timeout: '30min' };
const SIZES = `
  SELECT relname AS name, reltuples::bigint AS rows, pg_total_relation_size(oid) AS bytes, pg_table_size(oid) AS heap
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reltuples > 0
   ORDER BY bytes DESC`;

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    dir: { type: 'string', default: '.data/bench-growth' },
    audit: { type: 'boolean', default: false },
    dist: { type: 'string', default: DIST },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) process.stdout.write(USAGE);
else await runToEnd(() => run(Number(values.records)));

/** @returns {Promise<boolean>} always true: whatever goes wrong is thrown */
async function run(records) {
  if (!Number.isInteger(records) || records < 1) throw new Error('--records must be a whole number above 0');
  const begun = Date.now();
  const database = await startDatabase(values.dist, values.dir, SETTINGS);
  onEnd(() => database.stop());
  const { rows } = await database.owner.query('SELECT EXISTS (SELECT FROM user_accounts) AS filled');
  if (rows[0].filled) throw new Error(`${values.dir} has data already: remove it, or name another --dir`);
  await seed(database.owner, records, (step, seconds) =>
    process.stdout.write(`${step.padEnd(36)} ${seconds.toFixed(1)} s\n`),
  );
  await showSizes(database.owner);
  process.stdout.write(`${((Date.now() - begun) / 1000).toFixed(0)} s in all\n`);
  if (values.audit) await audit(database.url);
  return true;
}

async function showSizes(owner) {
  const { rows } = await owner.query(SIZES);
  const mega = (bytes) => `${Math.round(Number(bytes) / 2 ** 20).toLocaleString('en-US')} MB`;
  for (const { name, rows: count, bytes, heap } of rows) {
    process.stdout.write(
      `${name.padEnd(20)} ${Number(count).toLocaleString('en-US').padStart(12)} rows, ${mega(bytes)}, ${mega(bytes - heap)} of it indexes\n`,
    );
  }
}

async function audit(url) {
  const begun = Date.now();
  const users = await requireCleanAudit(values.dist, url);
  process.stdout.write(
    `the audit of ${users} users is clean (${((Date.now() - begun) / 1000).toFixed(0)} s)\n`,
  );
}
