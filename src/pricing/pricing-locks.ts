import type { EntityManager } from 'typeorm';

/** What changes of prices wait for in this process, before they take a connection. */
export const PRICING = 'pricing';

/** A lock of no table: to lock that of the rules, the service's role would need the right to change prices. */
const ALL_MODELS = `hashtextextended('pricing', 0)`;

/**
 * Changes to one model's rules come one after the other, so that each sees what the one before did. All models first, so
 * that what had to wait for an import reads the clock after it.
 */
export async function lockModel(manager: EntityManager, modelId: string): Promise<void> {
  await manager.query(`SELECT pg_advisory_xact_lock_shared(${ALL_MODELS})`);
  await manager.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`pricing:${modelId}`]);
}

/**
 * No rule can be changed until this transaction ends; reading goes on. It takes no lock of a model, so it and a change of
 * one model never wait for each other in a circle.
 */
export async function lockAllModels(manager: EntityManager): Promise<void> {
  await manager.query(`SELECT pg_advisory_xact_lock(${ALL_MODELS})`);
}

/** The database's time at this moment, in whole milliseconds so that answers have it exactly. */
export async function databaseTime(manager: EntityManager): Promise<Date> {
  const rows = await manager.query<{ now: Date }[]>(
    `SELECT date_trunc('milliseconds', clock_timestamp()) AS now`,
  );
  return (rows[0] as { now: Date }).now;
}
