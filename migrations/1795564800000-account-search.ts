import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Finds accounts by how their id, name or e-mail begins, whatever the case, among millions. */
export class AccountSearch1795564800000 implements MigrationInterface {
  name = 'AccountSearch1795564800000';
  /** An index that is made while others write cannot be made in a transaction. */
  transaction = false as const;

  async up(runner: QueryRunner): Promise<void> {
    for (const [name, column] of INDEXES) {
      // One that was broken off is there, and is never used.
      await runner.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
      // By bytes: only so is a beginning a range of the index, in whatever language the database sorts.
      await runner.query(
        `CREATE INDEX CONCURRENTLY ${name} ON user_accounts ((lower(${column}) COLLATE "C"), user_id)`,
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [name] of INDEXES) await runner.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
  }
}

const INDEXES = [
  ['idx_user_accounts_search_id', 'user_id'],
  ['idx_user_accounts_search_name', 'username'],
  ['idx_user_accounts_search_email', 'email'],
];
