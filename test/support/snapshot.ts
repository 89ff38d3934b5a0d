import type pg from 'pg';

/** Number of rows and what changes with any of them, for every table. */
export type Snapshot = Record<string, { rows: number; digest: string | null }>;

const statements = new WeakMap<pg.Pool, string>();

/**
 * What the database holds: two equal snapshots mean that nothing was written in between, but for when keys were last
 * used, which is written by the clock.
 */
export async function snapshot(database: pg.Pool): Promise<Snapshot> {
  const known = statements.get(database) ?? (await statementOf(database));
  statements.set(database, known);
  // By its name: a connection plans so long a statement once.
  const { rows } = await database.query<{ name: string; rows: number; digest: string | null }>({
    name: 'snapshot',
    text: known,
  });
  return Object.fromEntries(rows.map((row) => [row.name, { rows: row.rows, digest: row.digest }]));
}

/**
 * A row that is written has a newer transaction than all others, and one that is deleted is missing in the count. Of keys,
 * their content: the clock writes when they were last used.
 */
async function statementOf(database: pg.Pool): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `SELECT quote_ident(tablename) AS name FROM pg_tables
      WHERE schemaname = 'public' AND tablename <> 'migrations' ORDER BY 1`,
  );
  return tables.rows
    .map(
      ({ name }) =>
        `SELECT '${name}' AS name, count(*)::int AS rows, ${
          name === 'api_keys'
            ? `sum(hashtextextended((to_jsonb(t) - 'last_used')::text, 0))`
            : 'max(xmin::text::bigint)'
        }::text AS digest FROM ${name} t`,
    )
    .join(' UNION ALL ');
}
