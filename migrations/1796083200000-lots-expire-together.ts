import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** All lots of a user that are due expire by one statement for each table, however many there are. */
export class LotsExpireTogether1796083200000 implements MigrationInterface {
  name = 'LotsExpireTogether1796083200000';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** Nothing to take back: the release before puts its own functions in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
