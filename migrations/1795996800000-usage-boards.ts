import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Who used most in a range of closed days: statistics of the whole system read it in place of adding up everyone. */
export class UsageBoards1795996800000 implements MigrationInterface {
  name = 'UsageBoards1795996800000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(BOARDS);
    await installFunctions(runner);
    for (const statement of LAST) await runner.query(statement);
  }

  /** The table stays: the functions write to it, and the release before does not know it. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * users and credits go together. Whoever is not among them comes after floor_user with floor_credits, in the order of most
 * credits and then of user ids; a floor of nobody means that everyone is there.
 */
const BOARDS = `
  CREATE TABLE usage_boards (
    from_day      DATE NOT NULL,
    end_day       DATE NOT NULL,
    users         VARCHAR(50)[] NOT NULL,
    credits       NUMERIC(38, 0)[] NOT NULL,
    floor_credits NUMERIC(38, 0) NOT NULL,
    floor_user    VARCHAR(50),
    asked_on      DATE NOT NULL,
    CONSTRAINT pk_usage_boards PRIMARY KEY (from_day, end_day),
    CONSTRAINT ck_usage_boards_days CHECK (from_day < end_day),
    CONSTRAINT ck_usage_boards_users CHECK (cardinality(users) = cardinality(credits))
  )`;

/** Short, and last: each waits for what runs on its table. In the order in which usage_close_day locks them. */
const LAST = [
  // A board is made for so many records, and has so many users: some more than can be asked for, so that a few may leave.
  `ALTER TABLE usage_closing ADD COLUMN board_records BIGINT NOT NULL DEFAULT 20000,
                             ADD COLUMN board_users INTEGER NOT NULL DEFAULT 1200`,
  // Not while a usage_close_day of the release before is under way, which keeps no boards right.
  `UPDATE usage_closing SET begins_at = greatest(begins_at, now() + interval '10 minutes')`,
  // NULL in what the functions of the release before have written: no board is told while there is one.
  'ALTER TABLE usage_corrections ADD COLUMN user_id VARCHAR(50)',
];
