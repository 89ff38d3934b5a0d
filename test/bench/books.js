import { execFile } from 'node:child_process';
import { join } from 'node:path';

/** How often each thing has happened, as the database counts it. */
const COUNTS = `SELECT
  (SELECT count(*) FROM streaming_sessions) AS holds,
  (SELECT count(*) FROM streaming_sessions WHERE status <> 'active') AS settlements,
  (SELECT coalesce(sum(tokens_generated), 0) FROM streaming_sessions) AS progress,
  (SELECT count(*) FROM usage_records WHERE request_id IS NOT NULL) AS charges,
  (SELECT count(*) FROM usage_records WHERE billing_status = 'recorded') AS records,
  (SELECT count(*) FROM credit_ledger) AS entries`;

/** @returns {Promise<Record<string, number>>} */
export async function readBooks(owner) {
  const { rows } = await owner.query(COUNTS);
  return Object.fromEntries(Object.entries(rows[0]).map(([what, count]) => [what, Number(count)]));
}

/**
 * @param {Record<string, number>} moved what the 2xx answers since `before` say has happened
 * @throws when the database has counted more or less of anything
 */
export async function requireMoved(owner, before, moved) {
  const after = await readBooks(owner);
  const wrong = Object.keys(after)
    .filter((what) => after[what] - before[what] !== (moved[what] ?? 0))
    .map((what) => `${what}: ${moved[what] ?? 0} answered, ${after[what] - before[what]} in the database`);
  if (wrong.length > 0) throw new Error(`Answers and database differ. ${wrong.join('; ')}`);
}

/**
 * The service's own audit of every user.
 *
 * @returns {Promise<number>} how many users it has checked
 * @throws when it finds a difference
 */
export function requireCleanAudit(dist, databaseUrl) {
  const env = { PATH: process.env.PATH, NODE_ENV: 'test', DATABASE_URL: databaseUrl };
  const program = [join(dist, 'src/cli/audit.js'), '--json'];
  return new Promise((done, fail) => {
    execFile(process.execPath, program, { env, maxBuffer: 64 * 1024 * 1024 }, (error, output, reason) => {
      if (error) fail(new Error(`The audit is not clean: ${output.slice(0, 2000)}${reason}`));
      else done(JSON.parse(output).usersChecked);
    });
  });
}
