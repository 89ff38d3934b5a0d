import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/**
 * The daily roll-up also counts what was really taken from users: without records that were settled elsewhere, and without
 * what could not be collected. NULL in rows of before: what they would count is asked of the records then.
 */
export class ChargedCredits1795651200000 implements MigrationInterface {
  name = 'ChargedCredits1795651200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE usage_daily ADD COLUMN charged_credits NUMERIC(30, 0)');
    await installFunctions(runner);
  }

  /** The column stays: the functions write it, and the release before does not mind. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
