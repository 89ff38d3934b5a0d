import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Events that tell that something has ended or is over, and what a user was told of last. */
export class EventEndings1795910400000 implements MigrationInterface {
  name = 'EventEndings1795910400000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
    await installFunctions(runner);
  }

  /** The columns stay: the functions write them, and the release before does not mind. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}

const TYPES = `'credits.low', 'credits.exhausted', 'credits.recovered', 'credits.expiring', 'credits.expired',
               'session.timed_out', 'usage.needs_review', 'usage.settled', 'api_key.created', 'api_key.revoked',
               'api_key.expiring', 'api_key.expired'`;

/** Nothing is read under these locks: the checks are validated by the next migration. */
const STATEMENTS = [
  // NULL, also for who was told before: nobody is told of a recovery from what this column does not know.
  'ALTER TABLE credit_balances ADD COLUMN told_state VARCHAR(10)',
  `ALTER TABLE credit_balances
     ADD CONSTRAINT ck_credit_balances_told CHECK (told_state IN ('low', 'exhausted')) NOT VALID`,
  // Keys that are there now: what ended before this moment is long known, and some of it was told as rotated.
  'ALTER TABLE api_keys ADD COLUMN end_announced TIMESTAMPTZ DEFAULT now()',
  'ALTER TABLE api_keys ALTER COLUMN end_announced DROP DEFAULT',
  `ALTER TABLE events DROP CONSTRAINT ck_events_type,
     ADD CONSTRAINT ck_events_type CHECK (type IN (${TYPES})) NOT VALID`,
  `ALTER TABLE webhook_endpoints DROP CONSTRAINT ck_webhook_endpoints_types,
     ADD CONSTRAINT ck_webhook_endpoints_types CHECK (event_types <@ ARRAY[${TYPES}])`,
];
