import type pg from 'pg';

/** Number of rows and a digest of their content, for every table. */
export type Snapshot = Record<string, { rows: number; digest: string }>;

/**
 * What the database holds: two equal snapshots mean that nothing was written in between, but for when keys were last
 * used, which is written by the clock.
 */
export async function snapshot(database: pg.Pool): Promise<Snapshot> {
  const tables = await database.query<{ name: string }>(
    `SELECT quote_ident(tablename) AS name FROM pg_tables
      WHERE schemaname = 'public' AND tablename <> 'migrations' ORDER BY 1`,
  );
  const perTable = tables.rows.map(
    ({ name }) =>
      `SELECT '${name}' AS name, count(*)::int AS rows,
              md5(coalesce(string_agg(r::text, '|' ORDER BY r::text), '')) AS digest FROM ${name} t
         CROSS JOIN LATERAL (SELECT to_jsonb(t) - 'last_used' AS r) j`,
  );
  const { rows } = await database.query<{ name: string; rows: number; digest: string }>(
    perTable.join(' UNION ALL '),
  );
  return Object.fromEntries(rows.map((row) => [row.name, { rows: row.rows, digest: row.digest }]));
}
