import type { QueryRunner } from 'typeorm';
import { sqlFunctions } from './functions.js';

/** The table that all others lie beside: an account's rows are on the server that has its balance. */
const BESIDE = 'credit_balances';
/** The column by whose values rows are spread. */
const ACCOUNT = 'account_id';
/** What the account is called where it is the first parameter of an operation: the call goes to its server. */
const ACCOUNT_PARAMETERS = ['p_account', 'p_owner'];
/**
 * Stay with the coordinator: what migrations note, what has one order for all accounts (events and their deliveries), and
 * what only the work on all accounts reads and writes.
 */
const LOCAL_TABLES = [
  'migrations',
  'distribution_steps',
  'events',
  'webhook_endpoints',
  'webhook_deliveries',
  'webhook_lanes',
  'usage_closing',
  'usage_totals',
  'usage_leaders',
  'usage_quarantine',
  'output_learning',
  'last_audit',
  'alert_rules',
  'console_sessions',
];
/** What a Citus database of this service must have set, on each server. */
const DATABASE_SETTINGS = {
  // The ledger is append-only by triggers.
  'citus.enable_unsafe_triggers': 'on',
  // Such a trigger on api_keys writes an event of the same account, which lies beside the key.
  'citus.allow_nested_distributed_execution': 'on',
};

export type Progress = (line: string) => void;
type Kind = 'distributed' | 'reference';

interface Table {
  name: string;
  kind: Kind;
  isDone: boolean;
  /** Unique keys that do not have the account. */
  keys: string[] | null;
}

/** Whether this database has the tables of accounts spread over a cluster, all of them. */
export async function isDistributed(runner: QueryRunner): Promise<boolean> {
  const [citus] = await rows<{ is: boolean }>(
    runner,
    `SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AND to_regclass('distribution_steps') IS NULL AS is`,
  );
  if (citus?.is !== true) return false;
  const [beside] = await rows(
    runner,
    'SELECT 1 FROM pg_dist_partition WHERE logicalrelid = to_regclass($1)',
    [BESIDE],
  );
  return beside !== undefined;
}

/**
 * Spreads the accounts of a migrated database over the servers of a Citus cluster, from its coordinator. A table with the
 * account in its key is distributed by it; each of the others is copied to all servers. Every step is one transaction, and
 * what is left to do is in the database: after a kill at any moment it goes on where it was.
 *
 * @throws Error that says what stands in the way; nothing was changed then
 */
export async function distribute(runner: QueryRunner, progress: Progress): Promise<void> {
  await refuseWithoutCluster(runner);
  const tables = await ourTables(runner);
  refuseKeys(tables);
  await setUpDatabase(runner);
  await takeDown(runner, progress);
  const waiting = tables.filter(({ isDone }) => !isDone);
  for (const [index, { name, kind }] of waiting.entries()) {
    progress(`${index + 1} of ${waiting.length}: ${name} (${kind})`);
    await convert(runner, name, kind);
  }
  await putBack(runner, progress);
  progress(`${await delegateOperations(runner)} functions put on every server`);
  // A server that was added since has them with the rights of any function.
  const names = sqlFunctions().map(({ name }) => name);
  await runner.query(`REVOKE ALL ON FUNCTION ${names.join(', ')} FROM PUBLIC`);
}

/** Before anything is changed: is this the coordinator of a cluster that can take the tables? */
async function refuseWithoutCluster(runner: QueryRunner): Promise<void> {
  const [citus] = await rows(runner, `SELECT 1 FROM pg_extension WHERE extname = 'citus'`);
  if (citus === undefined)
    throw new Error('The database has no Citus: CREATE EXTENSION citus in it on each server, as a superuser');
  const [server] = await rows<{ isWorker: boolean }>(
    runner,
    `SELECT NOT citus_is_coordinator() AND EXISTS (SELECT FROM pg_dist_node) AS "isWorker"`,
  );
  if (server?.isWorker === true)
    throw new Error(
      'This server is a worker. MIGRATION_DATABASE_URL (or DATABASE_URL) must lead to the coordinator',
    );
  const workers = await rows<{ name: string; success: boolean; result: string }>(
    runner,
    `SELECT nodename || ':' || nodeport AS name, success, result
       FROM pg_dist_node n JOIN run_command_on_workers($1) USING (nodename, nodeport)
      WHERE noderole = 'primary' AND isactive ORDER BY 1`,
    [
      `SELECT pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
        AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist')`,
    ],
  );
  if (workers.length === 0)
    throw new Error('The cluster has no worker: add each one with SELECT citus_add_node(host, port)');
  for (const { name, success, result } of workers) {
    if (!success) throw new Error(`The worker ${name} cannot be used as this role: ${result}`);
    if (result !== 't')
      throw new Error(
        `On the worker ${name} this role must own the database, and btree_gist must be available`,
      );
  }
}

async function ourTables(runner: QueryRunner): Promise<Table[]> {
  return rows<Table>(
    runner,
    `SELECT c.relname AS name, p.logicalrelid IS NOT NULL AS "isDone", k.kind,
            CASE WHEN k.kind = 'distributed' THEN (
              SELECT array_agg(i.indexrelid::regclass::text) FROM pg_index i
               WHERE i.indrelid = c.oid AND i.indisunique AND NOT a.attnum = ANY (i.indkey)) END AS keys
       FROM pg_class c
       LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid
       LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $1
      CROSS JOIN LATERAL (
        SELECT CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
                                    AND a.attnum = ANY (i.indkey)) THEN 'distributed' ELSE 'reference' END AS kind) k
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($2)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        -- A shard, on a coordinator that has some itself.
        AND NOT EXISTS (SELECT FROM pg_dist_shard s
                         WHERE c.relname = (SELECT relname FROM pg_class WHERE oid = s.logicalrelid) || '_' || s.shardid)
      -- Those that lie beside another table come after it.
      ORDER BY k.kind DESC, c.relname <> $3, pg_relation_size(c.oid), c.relname`,
    [ACCOUNT, LOCAL_TABLES, BESIDE],
  );
}

function refuseKeys(tables: Table[]): void {
  const wrong = tables.flatMap(({ name, keys }) => (keys ?? []).map((key) => `${key} of ${name}`));
  if (wrong.length > 0)
    throw new Error(
      `Rows of one account are unique among themselves only. These keys lack ${ACCOUNT}: ${wrong.join(', ')}. ` +
        'The database has a schema that is not this release’s: run the migrations, or drop what was added',
    );
}

async function setUpDatabase(runner: QueryRunner): Promise<void> {
  for (const [name, value] of Object.entries(DATABASE_SETTINGS)) {
    const [{ statement }] = (await rows<{ statement: string }>(
      runner,
      `SELECT format('ALTER DATABASE %I SET ${name} = ${value}', current_database()) AS statement`,
    )) as [{ statement: string }];
    // Citus carries it out on the workers, too.
    await runner.query(statement);
    await runner.query(`SET ${name} = ${value}`);
  }
}

/**
 * Takes the foreign keys and triggers of the tables down that are still to be converted, and notes how to put them back:
 * a table with a trigger cannot be distributed, and a foreign key would convert a table before its turn.
 */
async function takeDown(runner: QueryRunner, progress: Progress): Promise<void> {
  await inTransaction(runner, async () => {
    await runner.query(
      `CREATE TABLE IF NOT EXISTS distribution_steps (
         id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, statement TEXT NOT NULL)`,
    );
    const found = await rows<{ drop: string; put: string }>(
      runner,
      `WITH waiting AS (
         SELECT c.oid FROM pg_class c
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($1)
            AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = c.oid)
       ), foreign_keys AS (
         SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
                format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS put
           FROM pg_constraint
          WHERE contype = 'f' AND conparentid = 0 AND (conrelid IN (SELECT oid FROM waiting) OR confrelid IN (SELECT oid FROM waiting))
          ORDER BY conname
       ), triggers AS (
         SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), pg_get_triggerdef(oid)
           FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM waiting) ORDER BY tgname
       )
       SELECT * FROM foreign_keys UNION ALL SELECT * FROM triggers`,
      [LOCAL_TABLES],
    );
    for (const { drop, put } of found) {
      await runner.query('INSERT INTO distribution_steps (statement) VALUES ($1)', [put]);
      await runner.query(drop);
    }
    if (found.length > 0) progress(`${found.length} foreign keys and triggers taken down`);
  });
}

async function convert(runner: QueryRunner, name: string, kind: Kind): Promise<void> {
  if (kind === 'reference') await runner.query('SELECT create_reference_table($1)', [name]);
  else
    await runner.query(`SELECT create_distributed_table($1, $2, colocate_with := $3)`, [
      name,
      ACCOUNT,
      name === BESIDE ? 'none' : BESIDE,
    ]);
}

async function putBack(runner: QueryRunner, progress: Progress): Promise<void> {
  const steps = await rows<{ id: string; statement: string }>(
    runner,
    'SELECT id, statement FROM distribution_steps ORDER BY id',
  );
  for (const { id, statement } of steps) {
    await inTransaction(runner, async () => {
      await runner.query(statement);
      await runner.query('DELETE FROM distribution_steps WHERE id = $1', [id]);
    });
  }
  await runner.query('DROP TABLE distribution_steps');
  if (steps.length > 0) progress(`${steps.length} foreign keys and triggers put back`);
}

/**
 * Puts the functions on every server, and lets a call of an operation on one account go whole to the server that has it.
 * What is so already stays as it is.
 *
 * @returns how many functions it changed
 */
export async function delegateOperations(runner: QueryRunner): Promise<number> {
  const functions = sqlFunctions();
  const changed = await rows<{ signature: string; account: string | null }>(
    runner,
    `SELECT p.oid::regprocedure::text AS signature, w.account
       FROM pg_proc p
      CROSS JOIN LATERAL (SELECT CASE WHEN proname = ANY ($2) AND proargnames[1] = ANY ($3) THEN proargnames[1] END AS account) w
       LEFT JOIN pg_dist_object o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
      WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.proname = ANY ($1)
        AND (o.objid IS NULL OR (o.distribution_argument_index IS NULL) <> (w.account IS NULL))
      -- What a trigger calls is put there with its table.
        AND p.prorettype <> 'trigger'::regtype
      ORDER BY 1`,
    [
      functions.map(({ name }) => name),
      functions.filter(({ isOperation }) => isOperation).map(({ name }) => name),
      ACCOUNT_PARAMETERS,
    ],
  );
  await inTransaction(runner, async () => {
    // Also for the workers: the functions are put there one after the other, and call each other.
    await runner.query(`SET LOCAL citus.propagate_set_commands = 'local'`);
    await runner.query('SET LOCAL check_function_bodies = off');
    for (const { signature, account } of changed) {
      if (account === null) await runner.query('SELECT create_distributed_function($1)', [signature]);
      else
        await runner.query('SELECT create_distributed_function($1, $2, colocate_with := $3)', [
          signature,
          account,
          BESIDE,
        ]);
    }
  });
  return changed.length;
}

async function inTransaction(runner: QueryRunner, work: () => Promise<void>): Promise<void> {
  await runner.startTransaction();
  try {
    await work();
    await runner.commitTransaction();
  } catch (error) {
    await runner.rollbackTransaction();
    throw error;
  }
}

const rows = <Row extends object>(
  runner: QueryRunner,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> => runner.query(text, values) as Promise<Row[]>;
