import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** A user's day has a bounded number of names in the roll-up; a record beyond them knows that it is counted as `other`. */
export class CountedAsOther1796515200000 implements MigrationInterface {
  name = 'CountedAsOther1796515200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'ALTER TABLE usage_records ADD COLUMN IF NOT EXISTS counted_as_other BOOLEAN NOT NULL DEFAULT FALSE',
    );
    await installFunctions(runner);
  }

  /** The column stays: the functions write it, and the release before does not mind. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
