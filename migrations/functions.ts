import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { QueryRunner } from 'typeorm';
import { VERSION } from '../src/config/version.js';

/** One file `src/<module>/sql/(operations|internal)/<name>.sql` (or `src/sql/…`), with the function of that name and any triggers of it. */
export interface SqlFunction {
  name: string;
  /** Whether the running service may call it. Other functions are called by operations only. */
  isOperation: boolean;
  text: string;
}

const SOURCES = fileURLToPath(new URL('../src', import.meta.url));
const FILE = /(?:^|[/\\])sql[/\\](operations|internal)[/\\][^/\\]+\.sql$/;
/** The release and the hash of a text; after any other comment the function is put in place again. */
const COMMENT = /^(\d+\.\d+\.\d+) ([0-9a-f]{64})$/;
/** PostgreSQL's code for a replacement that changes the result, or names or defaults of parameters. */
const CANNOT_REPLACE = '42P13';

/** Every SQL function of the service, by the order of their files. */
export function sqlFunctions(): SqlFunction[] {
  return readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((file) => FILE.test(file))
    .sort()
    .map((file) => ({
      name: basename(file, '.sql'),
      isOperation: FILE.exec(file)?.[1] === 'operations',
      text: readFileSync(join(SOURCES, file), 'utf8'),
    }));
}

/**
 * Puts every function in place whose text differs from what is installed; the database keeps the release and the hash of
 * each text in the function's comment. Runs after the migrations, in one transaction, while instances of the previous
 * release go on calling. A function with triggers has one of its own, after it: a trigger locks its table, and a
 * transaction that locked two of them could wait for a movement that waits for it.
 *
 * A function with the same parameters is replaced and keeps its identity and rights. One with other parameters is dropped
 * and created: a call at that very moment fails, and the service repeats it.
 *
 * Where a newer release is installed this does nothing: an instance of the previous release that restarts during an
 * upgrade must not bring back its own functions.
 *
 * The order does not matter, because bodies are not checked until they run. A function without a file stays for the
 * instances that still call it; a migration of a later release drops it.
 */
export async function installFunctions(runner: QueryRunner): Promise<void> {
  const functions = sqlFunctions();
  const installed = await installedFunctions(runner, functions);
  if (isOfNewerRelease(installed)) return;
  const changed = functions.filter(({ name, text }) => installed.get(name)?.hash !== hashOf(text));
  if (changed.length === 0) return;
  const callers = await rolesThatCall(runner, functions);
  const isTrigger = ({ text }: SqlFunction) => text.includes('CREATE OR REPLACE TRIGGER');
  const groups = [
    changed.filter((each) => !isTrigger(each)),
    ...changed.filter(isTrigger).map((each) => [each]),
  ];
  for (const group of groups) await replaceTogether(runner, group, installed, callers);
}

/** Those of a group are in place together or not at all. */
async function replaceTogether(
  runner: QueryRunner,
  group: SqlFunction[],
  installed: Map<string, InstalledFunction>,
  callers: string[],
): Promise<void> {
  if (group.length === 0) return;
  await runner.startTransaction();
  try {
    await runner.query('SET LOCAL check_function_bodies = off');
    for (const each of group) await replaceFunction(runner, each, installed.get(each.name)?.signatures ?? []);
    const names = group.map(({ name }) => name).join(', ');
    await runner.query(`REVOKE ALL ON FUNCTION ${names} FROM PUBLIC`);
    for (const role of callers) await grantOperations(runner, role, group);
    await runner.commitTransaction();
  } catch (error) {
    await runner.rollbackTransaction();
    throw error;
  }
}

/** Whether a newer release has put its functions in place: then the rights are its own as well. */
export async function isNewerInstalled(runner: QueryRunner): Promise<boolean> {
  return isOfNewerRelease(await installedFunctions(runner, sqlFunctions()));
}

/** Lets a role call the operations and nothing else. @param role the role's name, already quoted as an identifier */
export async function grantOperations(
  runner: QueryRunner,
  role: string,
  functions: SqlFunction[] = sqlFunctions(),
): Promise<void> {
  const operations = functions.filter(({ isOperation }) => isOperation).map(({ name }) => name);
  if (operations.length > 0)
    await runner.query(`GRANT EXECUTE ON FUNCTION ${operations.join(', ')} TO ${role}`);
}

async function replaceFunction(
  runner: QueryRunner,
  { name, text }: SqlFunction,
  before: string[],
): Promise<void> {
  try {
    await runner.query('SAVEPOINT replaced');
    for (const statement of statementsOf(text)) await runner.query(statement);
    await runner.query('RELEASE SAVEPOINT replaced');
  } catch (error) {
    if ((error as { code?: string }).code !== CANNOT_REPLACE) throw error;
    await runner.query('ROLLBACK TO SAVEPOINT replaced');
    await dropFunctions(runner, before);
    for (const statement of statementsOf(text)) await runner.query(statement);
  }
  // With other parameters it stands beside the old form, and a call could mean either.
  const { signatures = [] } = (await installedFunctions(runner, [{ name }])).get(name) ?? {};
  if (signatures.length > 1) await dropFunctions(runner, before);
  await runner.query(`COMMENT ON FUNCTION ${name} IS '${VERSION} ${hashOf(text)}'`);
}

/** The function and its triggers: a cluster passes each on to its servers as it came, one statement at a time. */
const statementsOf = (text: string): string[] => text.split(/;\n(?=CREATE OR REPLACE TRIGGER)/);

async function dropFunctions(runner: QueryRunner, signatures: string[]): Promise<void> {
  for (const signature of signatures) await runner.query(`DROP FUNCTION IF EXISTS ${signature}`);
}

interface InstalledFunction {
  signatures: string[];
  release: string;
  hash: string | undefined;
}

async function installedFunctions(
  runner: QueryRunner,
  functions: Pick<SqlFunction, 'name'>[],
): Promise<Map<string, InstalledFunction>> {
  const rows = (await runner.query(
    `SELECT proname AS name, array_agg(oid::regprocedure::text) AS signatures,
            max(obj_description(oid, 'pg_proc')) AS comment
       FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = ANY($1) GROUP BY proname`,
    [functions.map(({ name }) => name)],
  )) as { name: string; signatures: string[]; comment: string | null }[];
  return new Map(
    rows.map(({ name, signatures, comment }) => {
      const [, release = '', hash] = COMMENT.exec(comment ?? '') ?? [];
      return [name, { signatures, release, hash }];
    }),
  );
}

/** The roles that may call an operation, as quoted identifiers. */
async function rolesThatCall(runner: QueryRunner, functions: SqlFunction[]): Promise<string[]> {
  const roles = (await runner.query(
    `SELECT DISTINCT quote_ident(r.rolname) AS role
       FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
      WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY($1) AND a.grantee <> p.proowner`,
    [functions.filter(({ isOperation }) => isOperation).map(({ name }) => name)],
  )) as { role: string }[];
  return roles.map(({ role }) => role);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Whether a release (such as `1.2.0`) of any of them comes after this one. */
function isOfNewerRelease(installed: Map<string, InstalledFunction>): boolean {
  return [...installed.values()].some(
    ({ release }) => release.localeCompare(VERSION, 'en', { numeric: true }) > 0,
  );
}
