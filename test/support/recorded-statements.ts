import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import pg from 'pg';
import { VERSION } from '../../src/config/version.js';
import type { ServerLogin } from '../../src/postgres-server/open-database.js';

/** A statement that a release sends, with values it was sent with and the columns it gave. */
export interface RecordedStatement {
  text: string;
  /** As they are sent: text, or NULL. */
  values: (string | null)[];
  /** Name and type of each column. */
  columns: string[];
}

export const RELEASES = 'test/proof/upgrades/releases';

/** Statements about the transaction, not about the schema. */
const NO_STATEMENT = /^\s*(BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET)\b/i;

interface Query {
  text?: string;
  values?: unknown[];
}

interface Connection {
  connectionParameters?: { application_name?: string };
}

const { prepareValue } = createRequire(import.meta.url)('pg/lib/utils.js') as {
  prepareValue: (value: unknown) => string | Buffer | null;
};

const asSent = (values: unknown[]) =>
  values.map((value) => {
    const sent = prepareValue(value);
    return Buffer.isBuffer(sent) ? `\\x${sent.toString('hex')}` : sent;
  });

/**
 * Writes every distinct statement that a service of this process sends, and that succeeds, into a directory: one file
 * for each, named by the statement, so that the processes of a test run do not get into each other's way.
 */
export function recordStatements(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const prototype = pg.Client.prototype as unknown as {
    query: (this: object, ...given: unknown[]) => unknown;
  };
  const original = prototype.query;
  // The files of a worker share it.
  if (original.name === 'recordedQuery') return;
  prototype.query = function recordedQuery(this: Connection, ...given: unknown[]) {
    const [query, values] = given as [string | Query, unknown];
    const text = typeof query === 'string' ? query : query?.text;
    const sent = Array.isArray(values) ? (values as unknown[]) : ((query as Query)?.values ?? []);
    const isService = this.connectionParameters?.application_name === 'llm-accounting-service';
    if (isService && typeof text === 'string' && !NO_STATEMENT.test(text)) keep(directory, text, sent);
    return original.apply(this, given);
  };
}

function keep(directory: string, text: string, values: unknown[]): void {
  const digest = (what: string) => createHash('sha256').update(what).digest('hex').slice(0, 24);
  const sent = JSON.stringify(asSent(values));
  // Several samples of each: not every one can be played again on an empty database.
  const samples = Array.from({ length: 5 }, (_, index) => join(directory, `${digest(text)}.${index}.json`));
  const free = samples.find((file) => !existsSync(file));
  if (free !== undefined && sent.length < 2000)
    writeFileSync(free, JSON.stringify({ text, values: JSON.parse(sent) as unknown }));
}

/**
 * Writes the statements of a test run as those of the present release, each with the first of its samples that works on
 * an empty database.
 */
export async function writeRelease(directory: string, server: ServerLogin, template: string): Promise<void> {
  // Nothing was sent under this project of the test runner.
  if (!existsSync(directory)) return;
  const { host, port, user, password } = server;
  const name = 'recorded_release';
  const admin = new pg.Client({ host, port, user, password, database: 'postgres' });
  await admin.connect();
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  const database = new pg.Client({ host, port, user, password, database: name });
  await database.connect();
  const statements = new Map<string, RecordedStatement | string>();
  for (const file of readdirSync(directory).sort()) {
    const sample = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Omit<
      RecordedStatement,
      'columns'
    >;
    if (typeof statements.get(sample.text) === 'object') continue;
    const columns = await columnsOf(database, sample.text, sample.values).catch(
      (error: Error) => error.message,
    );
    statements.set(sample.text, Array.isArray(columns) ? { ...sample, columns } : columns);
  }
  await database.end();
  await admin.query(`DROP DATABASE ${name}`);
  await admin.end();
  const kept = [...statements.values()].filter((one) => typeof one === 'object');
  for (const [text, why] of statements)
    if (typeof why === 'string') process.stderr.write(`not recorded: ${why}: ${text}\n`);
  const target = join(RELEASES, VERSION);
  mkdirSync(target, { recursive: true });
  kept.sort((a, b) => (a.text < b.text ? -1 : 1));
  writeFileSync(join(target, 'statements.json'), `${JSON.stringify(kept, null, 1)}\n`);
  process.stderr.write(`${kept.length} statements in ${target}\n`);
}

/**
 * Runs a statement as the service's role and takes it back. Foreign keys are not looked at, since the rows that the
 * values name are not there; everything else is.
 *
 * @returns name and type of each column it gives
 */
export async function columnsOf(
  database: pg.Client,
  text: string,
  values: (string | null)[],
): Promise<string[]> {
  await database.query('BEGIN');
  try {
    await database.query('SET LOCAL session_replication_role = replica');
    await database.query('SET LOCAL ROLE accounting_app');
    const { fields } = await database.query<Record<string, unknown>>(text, values);
    const types = await database.query<{ type: string }>(
      'SELECT format_type(t, NULL) AS type FROM unnest($1::oid[]) WITH ORDINALITY AS x (t, n) ORDER BY n',
      [fields.map(({ dataTypeID }) => dataTypeID)],
    );
    return fields.map(({ name }, index) => `${name} ${types.rows[index]?.type}`);
  } finally {
    await database.query('ROLLBACK');
  }
}
