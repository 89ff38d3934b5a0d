import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** A revocation of a lot keeps its idempotency key. */
export class RepeatedRevocations1796169600100 implements MigrationInterface {
  name = 'RepeatedRevocations1796169600100';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** Nothing to take back: the release before puts its own functions in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
