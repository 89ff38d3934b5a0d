import { expect } from 'vitest';
import type { TestService } from './service.js';

// Asked outside of the gate's transaction, in which it would not change.
const WAITING = `SELECT count(*)::integer AS waiting FROM pg_stat_activity
                  WHERE datname = current_database() AND wait_event_type = 'Lock'`;

const WAITING_ON_ALL = `SELECT sum(result::integer)::integer AS waiting
                           FROM run_command_on_all_nodes($$${WAITING}$$) WHERE success`;

/** How many statements wait for a lock. */
export async function waitingForLocks(service: TestService): Promise<number> {
  const text = process.env.TEST_CITUS === undefined ? WAITING : WAITING_ON_ALL;
  return (await service.owner.query<{ waiting: number }>(text)).rows[0]?.waiting ?? 0;
}

/**
 * Lets requests really meet: takes a lock by hand, sends one request after the other until each waits in the database,
 * and gives the lock back.
 *
 * @param statement what takes the lock; it is rolled back
 */
export async function holdUp<T>(
  service: TestService,
  statement: string,
  values: unknown[],
  requests: (() => Promise<T>)[],
): Promise<T[]> {
  const gate = await service.owner.connect();
  const answers: Promise<T>[] = [];
  try {
    await gate.query('BEGIN');
    await gate.query(statement, values);
    for (const request of requests) {
      answers.push(request());
      await expect.poll(() => waitingForLocks(service), { interval: 5, timeout: 5000 }).toBe(answers.length);
    }
  } finally {
    await gate.query('ROLLBACK');
    gate.release();
  }
  return Promise.all(answers);
}
