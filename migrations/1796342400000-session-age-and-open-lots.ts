import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Sessions have a maximum age, users a maximum of open lots. */
export class SessionAgeAndOpenLots1796342400000 implements MigrationInterface {
  name = 'SessionAgeAndOpenLots1796342400000';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** Nothing to take back: the release before puts its own functions in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
