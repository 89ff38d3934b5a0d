import { readFileSync } from 'node:fs';
import type { MigrationInterface, QueryRunner } from 'typeorm';

const SCHEMA = new URL('./baseline.sql', import.meta.url);

/** The tables that it creates. */
export function baselineTables(): string[] {
  return [...readFileSync(SCHEMA, 'utf8').matchAll(/^CREATE TABLE (\w+)/gm)].map(
    ([, name]) => name as string,
  );
}

/** The schema of release 1.0.0, from `baseline.sql`. */
export class Baseline1796688000000 implements MigrationInterface {
  name = 'Baseline1796688000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(readFileSync(SCHEMA, 'utf8'));
  }

  /** Refuses: reverting the baseline would delete every balance. Drop the database if that is intended. */
  down(): Promise<void> {
    return Promise.reject(new Error('The baseline cannot be reverted: that would delete all credits.'));
  }
}
