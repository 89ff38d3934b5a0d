import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** API keys are made, rotated and changed by one operation each; changes of the service's own keep their answers. */
export class KeysByOperations1796169600000 implements MigrationInterface {
  name = 'KeysByOperations1796169600000';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** Nothing to take back: the release before puts its own functions in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
