import type pg from 'pg';

export interface Write {
  table: string;
  operation: string;
  row: string;
}

/** Written by the service of its own accord while requests come in; no request is its cause. */
const NOBODYS_COLUMNS: Record<string, string> = { api_keys: 'last_used' };

/** Every change of every table that is committed, noted by triggers: what was rolled back is not there. */
export class WriteLog {
  private seen = 0;

  private constructor(private readonly database: pg.Pool) {}

  static async on(database: pg.Pool): Promise<WriteLog> {
    await database.query(`
      CREATE TABLE write_log (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, relation TEXT, operation TEXT, content JSONB);
      CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
      BEGIN
        IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - TG_ARGV[0] = to_jsonb(NEW) - TG_ARGV[0] THEN RETURN NULL; END IF;
        INSERT INTO public.write_log (relation, operation, content)
          VALUES (TG_TABLE_NAME, TG_OP, to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END));
        RETURN NULL;
      END $$;`);
    // Every audit keeps its result.
    const { rows } = await database.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('write_log', 'last_audit')`,
    );
    for (const { name } of rows) {
      await database.query(
        `CREATE TRIGGER note_write AFTER INSERT OR UPDATE OR DELETE ON "${name}"
           FOR EACH ROW EXECUTE FUNCTION note_write('${NOBODYS_COLUMNS[name] ?? ''}')`,
      );
    }
    return new WriteLog(database);
  }

  /** What was written since the last time this was asked. */
  async sinceLast(): Promise<Write[]> {
    const { rows } = await this.database.query<Write & { id: string }>({
      name: 'writes_since',
      text: `SELECT id, relation AS table, operation, left(content::text, 500) AS row
               FROM write_log WHERE id > $1 ORDER BY id`,
      values: [this.seen],
    });
    this.seen = Number(rows.at(-1)?.id ?? this.seen);
    return rows.map(({ table, operation, row }) => ({ table, operation, row }));
  }
}
