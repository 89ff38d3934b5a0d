import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** The functions that move credits never read a whole table, see README.md. */
export class LookUps1795900000000 implements MigrationInterface {
  name = 'LookUps1795900000000';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** Nothing to take back: the release before puts its own functions in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
