import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Several movements in one call and one commit: the function `movements`. */
export class Movements1795478400000 implements MigrationInterface {
  name = 'Movements1795478400000';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** The function stays: the release before does not call it, and the next one finds it in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
