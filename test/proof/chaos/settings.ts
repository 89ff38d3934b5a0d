import { SeededRandom } from '../../support/seeded-random.js';

export interface ChaosSettings {
  /** SIGKILLs that hit while the clients work. */
  kills: number;
  /** Repeats the faults, their order and their lengths, and what each client wants to do. */
  seed: number;
  clients: number;
  /** Further settings of the service: the same faults in another mode of it. */
  serviceEnv: Record<string, string>;
}

export const CONNECT_TIMEOUT_MILLISECONDS = 1000;
export const STATEMENT_TIMEOUT_MILLISECONDS = 1500;
export const POOL_SIZE = 10;
/** So short that sessions which their clients do not end are ended by the sweeper while the faults go on. */
export const LEASE_SECONDS = 15;

/** A statement that a silent server does not answer is given up 2 s after the server itself should have. */
const DATABASE_CALL_MILLISECONDS = CONNECT_TIMEOUT_MILLISECONDS + STATEMENT_TIMEOUT_MILLISECONDS + 2000;
/** What a machine that is busy with all of this may add. */
const TOLERANCE_MILLISECONDS = 3000;
/** A request asks the database twice at most: for the caller's account, and for what it is about. */
export const REQUEST_LIMIT_MILLISECONDS = 2 * DATABASE_CALL_MILLISECONDS + TOLERANCE_MILLISECONDS;
/** From the moment that the database can be reached to the moment that an instance says it is ready. */
export const RECOVERY_LIMIT_MILLISECONDS = REQUEST_LIMIT_MILLISECONDS;

/** `CHAOS_KILLS`, `CHAOS_SEED`, `CHAOS_CLIENTS`, and `CHAOS_ENV="NAME=value OTHER=value"` for the service. */
export function chaosSettings(env: NodeJS.ProcessEnv = process.env): ChaosSettings {
  const kills = Number(env.CHAOS_KILLS ?? 5);
  return {
    kills,
    seed: Number(env.CHAOS_SEED ?? new SeededRandom().integer(1, 999_999)),
    // The short run shares its machine with the other tests.
    clients: Number(env.CHAOS_CLIENTS ?? (kills < 10 ? 12 : 24)),
    serviceEnv: Object.fromEntries(
      (env.CHAOS_ENV ?? '')
        .split(/\s+/)
        .filter((pair) => pair !== '')
        .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    ),
  };
}
