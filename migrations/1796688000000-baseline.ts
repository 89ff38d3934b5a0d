import { readFileSync } from 'node:fs';
import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The schema of release 1.0.0, from `baseline.sql`. */
export class Baseline1796688000000 implements MigrationInterface {
  name = 'Baseline1796688000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(readFileSync(new URL('./baseline.sql', import.meta.url), 'utf8'));
  }

  /** Refuses: reverting the baseline would delete every balance. Drop the database if that is intended. */
  down(): Promise<void> {
    return Promise.reject(new Error('The baseline cannot be reverted: that would delete all credits.'));
  }
}
