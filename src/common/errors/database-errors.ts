import { ServiceUnavailable } from './service-error.js';

interface PostgresError {
  code?: string;
  constraint?: string;
  message?: string;
  driverError?: PostgresError;
}

/** PostgreSQL's and Node's codes for «not now»: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const UNAVAILABLE_CODES = new Set([
  '53300', // too many connections
  '53400', // configuration limit exceeded
  '55P03', // lock not available (lock_timeout)
  '57014', // query canceled (statement_timeout)
  '57P01', // admin shutdown
  '57P02', // crash shutdown
  '57P03', // cannot connect now
  '25006', // read-only transaction: a primary that became a standby
  '40001', // serialization failure, after the retries
  '40P01', // deadlock, after the retries
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
]);

/** What `pg` says without a code when the connection or the pool is the trouble. */
const UNAVAILABLE_MESSAGES =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error|not queryable|Cannot use a pool after|Query read timeout/;

/** The error as PostgreSQL's driver gave it, out of TypeORM's wrapping. */
export function postgresError(error: unknown): PostgresError {
  const wrapped = (error ?? {}) as PostgresError;
  return wrapped.driverError ?? wrapped;
}

/** Whether the database could not be asked, as opposed to having refused. */
export function isUnavailable(error: unknown): boolean {
  const { code, message } = postgresError(error);
  if (code !== undefined && (UNAVAILABLE_CODES.has(code) || code.startsWith('08'))) return true;
  return UNAVAILABLE_MESSAGES.test(message ?? '');
}

/** Whether nothing can be asked at all now; a statement that took too long (57014) concerns what it was about only. */
export function isOutage(error: unknown): boolean {
  return isUnavailable(error) && postgresError(error).code !== '57014';
}

/** Whether the same call may succeed at once: a lost race, rolled back whole. */
export function isLostRace(error: unknown): boolean {
  const { code, constraint, message } = postgresError(error);
  if (code === '40001' || code === '40P01') return true;
  // A migration put another function in its place between the planning of a call and the call.
  if (code === 'XX000' && /^cache lookup failed for function/.test(message ?? '')) return true;
  // Two first requests under one idempotency key (or one session id) at once: the retry finds the winner's answer.
  return code === '23505' && (constraint === 'pk_idempotency_keys' || constraint === 'pk_streaming_sessions');
}

/** A 503 for a database that cannot be asked; any other error as it is. */
export function translateDatabaseError(error: unknown): unknown {
  return isUnavailable(error) ? new ServiceUnavailable() : error;
}
