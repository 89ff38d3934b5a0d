import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Finds lots and keys whose expiry nobody has been told of. On large tables, so without stopping their writes. */
export class EventIndexes1795651300000 implements MigrationInterface {
  name = 'EventIndexes1795651300000';
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const [name, definition] of Object.entries(INDEXES)) {
      // What an attempt that was cut off has left is not valid.
      await runner.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
      await runner.query(`CREATE INDEX CONCURRENTLY ${name} ${definition}`);
    }
    await runner.query('ALTER TABLE credit_balances VALIDATE CONSTRAINT ck_credit_balances_threshold');
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const name of Object.keys(INDEXES)) {
      await runner.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
    }
  }
}

const INDEXES = {
  idx_credit_unannounced: 'ON credit_allocations (expires_at) WHERE is_open AND NOT expiry_announced',
  idx_api_keys_unannounced: `ON api_keys (expires_at)
     WHERE is_active AND expires_at IS NOT NULL AND expiry_announced IS DISTINCT FROM expires_at`,
};
