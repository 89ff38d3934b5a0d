import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** A repair of the books is itself in the ledger: entries of kind `correction`, of any sign, or 0 about the cache. */
export class Corrections1795392000000 implements MigrationInterface {
  name = 'Corrections1795392000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
    await installFunctions(runner);
  }

  /** Refuses: entries of the new kind may be there, and the ledger is append-only. */
  down(): Promise<void> {
    return Promise.reject(new Error('Corrections cannot be reverted: the ledger may hold some.'));
  }
}

const STATEMENTS = [
  'ALTER TABLE credit_ledger ALTER COLUMN allocation_id DROP NOT NULL',
  `ALTER TABLE credit_ledger ADD CONSTRAINT ck_credit_ledger_allocation
     CHECK (allocation_id IS NOT NULL OR kind = 'correction') NOT VALID`,
  'ALTER TABLE credit_ledger VALIDATE CONSTRAINT ck_credit_ledger_allocation',
  'ALTER TABLE credit_ledger DROP CONSTRAINT ck_credit_ledger_sign',
  // Not validated with the table locked: the old rule, under which every row was written, is the stricter one.
  `ALTER TABLE credit_ledger ADD CONSTRAINT ck_credit_ledger_sign CHECK (
     CASE WHEN kind IN ('allocation', 'refund') THEN credits > 0
          WHEN kind IN ('hold', 'charge', 'deduction', 'revocation', 'expiry') THEN credits < 0
          ELSE kind = 'correction' END) NOT VALID`,
  'ALTER TABLE credit_ledger VALIDATE CONSTRAINT ck_credit_ledger_sign',
];
