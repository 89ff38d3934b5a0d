import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Everyone's usage by UTC day, service and operation, of days that are over: statistics of the whole system read it. */
export class UsageTotals1795564800000 implements MigrationInterface {
  name = 'UsageTotals1795564800000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
    await installFunctions(runner);
  }

  /** The tables stay: the functions write to them, and the release before does not know them. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}

const COUNTS = `
     day               DATE NOT NULL,
     service           VARCHAR(50) NOT NULL,
     operation         VARCHAR(100) NOT NULL,
     records           BIGINT NOT NULL,
     credits           NUMERIC(38, 0) NOT NULL,
     provider_cost_usd NUMERIC NOT NULL,
     costed_records    BIGINT NOT NULL,
     costed_credits    NUMERIC(38, 0) NOT NULL,
     unpriced_records  BIGINT NOT NULL`;

const STATEMENTS = [
  `CREATE TABLE usage_totals (${COUNTS},
     CONSTRAINT pk_usage_totals PRIMARY KEY (day, service, operation)
   )`,
  // What has changed in a day that is over, until it is added to the totals. Rows are only added here and taken away:
  // movements that change one old day do not wait for each other.
  `CREATE TABLE usage_corrections (
     id                BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_usage_corrections PRIMARY KEY,${COUNTS}
   )`,
  // One row: the totals have every day before closed_until. Calls that began under the functions of the release before
  // write no corrections; none of them is left when the first days are closed.
  `CREATE TABLE usage_closing (
     is_only      BOOLEAN NOT NULL DEFAULT TRUE CONSTRAINT pk_usage_closing PRIMARY KEY
                  CONSTRAINT ck_usage_closing_only CHECK (is_only),
     closed_until DATE NOT NULL DEFAULT '-infinity',
     begins_at    TIMESTAMPTZ NOT NULL DEFAULT now() + interval '10 minutes'
   )`,
  'INSERT INTO usage_closing DEFAULT VALUES',
];
