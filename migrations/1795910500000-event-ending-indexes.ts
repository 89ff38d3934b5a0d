import type { MigrationInterface, QueryRunner } from 'typeorm';

/** For the ends of keys, and the last attempts of endpoints; and reads what the new checks say of old rows. Stops no writes. */
export class EventEndingIndexes1795910500000 implements MigrationInterface {
  name = 'EventEndingIndexes1795910500000';
  readonly transaction = false;

  async up(runner: QueryRunner): Promise<void> {
    for (const [name, definition] of Object.entries(INDEXES)) {
      // What an attempt that was cut off has left is not valid.
      await runner.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
      await runner.query(`CREATE INDEX CONCURRENTLY ${name} ${definition}`);
    }
    await runner.query('ALTER TABLE credit_balances VALIDATE CONSTRAINT ck_credit_balances_told');
    await runner.query('ALTER TABLE events VALIDATE CONSTRAINT ck_events_type');
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const name of Object.keys(INDEXES)) {
      await runner.query(`DROP INDEX CONCURRENTLY IF EXISTS ${name}`);
    }
  }
}

const INDEXES = {
  idx_api_keys_unended: `ON api_keys (expires_at)
     WHERE is_active AND expires_at IS NOT NULL AND (end_announced IS NULL OR end_announced < expires_at)`,
  idx_webhook_deliveries_tried:
    'ON webhook_deliveries (endpoint_id, last_attempt_at) WHERE last_attempt_at IS NOT NULL',
};
