import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAccounts, introduce, tokenOf } from './accounts.js';
import { requireCleanAudit } from './books.js';
import { onEnd, runToEnd } from './cleanup.js';
import { measureScenario } from './measurement.js';
import { readOptions } from './options.js';
import { goalsOf, lineOf, writeReport } from './report.js';
import { SECRET, startDatabase, startFloor, startGenerator, startService } from './servers.js';
import { readStatements } from './statements.js';

/**
 * The service against a floor, over HTTP, on one database with default durability. The load generator, the servers and
 * the database share this machine: the ratio is what means something, the figures beside it are of this machine only.
 */
const options = readOptions();
await runToEnd(async () => (await run()) || !options.isStrict);

/** @returns {Promise<boolean>} whether the goal was met everywhere */
async function run() {
  const begun = Date.now();
  const bench = await prepare();
  const cells = [];
  let movements = 0;
  for (const scenario of options.scenarios) {
    movements += await measureScenario(bench, scenario, (cell) => {
      cells.push(cell);
      process.stdout.write(`${lineOf(cell)}\n`);
    });
  }
  const users = await requireCleanAudit(options.dist, bench.databaseUrl);
  const facts = { options, movements, users, version: bench.version, seconds: (Date.now() - begun) / 1000 };
  await writeReport(cells, facts);
  return goalsOf(cells).missed.length === 0;
}

async function prepare() {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-bench-'));
  onEnd(() => rm(directory, { recursive: true, force: true }));
  const database = keep(await startDatabase(options.dist, join(directory, 'postgres')));
  const pool = { DB_POOL_SIZE: String(options.poolSize) };
  const service = (env) => startService(options.dist, database.url, { ...pool, ...options.env, ...env });
  const targets = [
    { label: 'service', server: keep(await service({})) },
    {
      label: 'floor',
      server: keep(
        await startFloor({
          databaseUrl: database.url,
          poolSize: options.poolSize,
          secret: SECRET,
          statements: await readStatements(options.dist),
        }),
      ),
    },
  ];
  for (const { label, env } of options.compare) targets.push({ label, server: keep(await service(env)) });
  const accounts = await createAccounts(targets[0].server.port, database.owner);
  for (const { label, server } of targets) if (label !== 'floor') await introduce(server.port, accounts);
  return {
    options,
    targets,
    accounts,
    generator: keep(startGenerator()),
    supervisorToken: tokenOf('supervisor', 'supervisor'),
    owner: database.owner,
    databaseUrl: database.url,
    version: database.version,
  };
}

/** @template {{ stop(): Promise<void> }} T @param {T} server @returns {T} */
function keep(server) {
  onEnd(() => server.stop());
  return server;
}
