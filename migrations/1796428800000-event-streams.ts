import type { MigrationInterface, QueryRunner } from 'typeorm';
import { installFunctions } from './functions/install.js';

/** Functions of webhooks lock in one order, endpoints are deleted in steps, and streams know which ids were given. */
export class EventStreams1796428800000 implements MigrationInterface {
  name = 'EventStreams1796428800000';

  async up(runner: QueryRunner): Promise<void> {
    await installFunctions(runner);
  }

  /** Nothing to take back: the release before puts its own functions in place. */
  down(): Promise<void> {
    return Promise.resolve();
  }
}
