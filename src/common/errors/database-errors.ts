import {
  QueryFailedError,
  QueryRunnerAlreadyReleasedError,
  QueryRunnerProviderAlreadyReleasedError,
} from 'typeorm';
import { ServiceUnavailable, ValidationError } from './service-error.js';

interface PostgresError {
  code?: string;
  constraint?: string;
  column?: string;
  message?: string;
  driverError?: PostgresError;
}

/** Refusals that mean «not now»: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const NOT_NOW = new Set([
  '55P03', // lock not available (lock_timeout)
  '57014', // query canceled (statement_timeout)
  '25006', // read-only transaction: a primary that became a standby
  '40001', // serialization failure, after the retries
  '40P01', // deadlock, after the retries
]);
/** Insufficient resources (disk, memory, connections) and errors of the system below the database. */
const NOT_NOW_CLASSES = ['53', '58'];

/**
 * Errors that the server itself sent as its answer: the transaction is rolled back. The connection that read an answer
 * marks it; an error is never taken for a refusal because of properties that it carries.
 */
const refusals = new WeakSet();
/** Errors of connections: a statement may have been carried out or not. */
const unanswered = new WeakSet();
const STALE_PLAN =
  /^cache lookup failed for function|^cached plan must not change result type|does not match that when preparing the plan/;
const OF_TYPEORM = [
  QueryFailedError,
  QueryRunnerAlreadyReleasedError,
  QueryRunnerProviderAlreadyReleasedError,
];

export function markRefusal(error: object): void {
  refusals.add(error);
}

/** Marks an error of a connection or a pool; a refusal stays a refusal. */
export function markUnanswered(error: object): void {
  if (!refusals.has(error)) unanswered.add(error);
}

/** A shard's constraints have its number behind their names. */
const OF_SHARD = /_\d{6,}$/;
const CONSTRAINT_IN_TEXT = /constraint "(\w+)"/;
/** As refuse.sql words it. */
const FIELD_IN_TEXT = /^([\w-]+) is not valid$/;

/** The constraint that refused; the coordinator of a cluster passes on only the text of what its servers refuse. */
function constraintOf({ constraint, message = '' }: PostgresError): string | undefined {
  return (constraint ?? CONSTRAINT_IN_TEXT.exec(message)?.[1])?.replace(OF_SHARD, '');
}

/** The field that refuse.sql has refused, also where only the text was passed on. */
function fieldOf({ code, column, message = '' }: PostgresError): string | undefined {
  return code === '22023' ? (column ?? FIELD_IN_TEXT.exec(message)?.[1]) : undefined;
}

/** The error as PostgreSQL's driver gave it, out of TypeORM's wrapping. */
export function postgresError(error: unknown): PostgresError {
  const wrapped = (error ?? {}) as PostgresError;
  return wrapped.driverError ?? wrapped;
}

/** Whether the server has refused the statement, which proves that nothing of it happened. */
export function isRefusal(error: unknown): boolean {
  return refusals.has(postgresError(error));
}

/** Whether the database could not be asked, did not answer or lacks what it needs now, as opposed to having refused. */
export function isUnavailable(error: unknown): boolean {
  // The service's own queues and pools say so before anything is asked.
  if (error instanceof ServiceUnavailable) return true;
  const original = postgresError(error);
  if (refusals.has(original)) {
    const code = original.code ?? '';
    return NOT_NOW.has(code) || NOT_NOW_CLASSES.includes(code.slice(0, 2));
  }
  // TypeORM gives a connection that broke back by itself, and then refuses to use it.
  return OF_TYPEORM.some((type) => error instanceof type) || unanswered.has(original);
}

/** Whether the statement took longer than it may. */
export function isCutOff(error: unknown): boolean {
  return isRefusal(error) && postgresError(error).code === '57014';
}

/** Whether nothing can be asked at all now; a statement that took too long concerns what it was about only. */
export function isOutage(error: unknown): boolean {
  return isUnavailable(error) && !isCutOff(error);
}

/**
 * Whether a connection has prepared what is no longer so, because a migration has put another function or another column
 * in its place, or because a pooler has put another connection in its place. Another connection may have the same plan.
 */
export function isStalePlan(error: unknown): boolean {
  if (!isRefusal(error)) return false;
  const { code, message } = postgresError(error);
  return code === '26000' || STALE_PLAN.test(message ?? '');
}

/** Whether the same call may succeed at once: a lost race, rolled back whole. */
export function isLostRace(error: unknown): boolean {
  if (!isRefusal(error)) return false;
  const original = postgresError(error);
  const { code } = original;
  if (code === '40001' || code === '40P01' || isStalePlan(error)) return true;
  // Two first requests under one idempotency key (or one session id) at once: the retry finds the winner's answer.
  return (
    code === '23505' &&
    ['pk_idempotency_keys', 'pk_streaming_sessions'].includes(constraintOf(original) ?? '')
  );
}

/** Whether the server has refused the call and will refuse it again. */
export function isFinalRefusal(error: unknown): boolean {
  return isRefusal(error) && !isUnavailable(error) && !isLostRace(error);
}

/**
 * Whether an error of a statement for several requests may be the fault of one of them: nothing was carried out, and
 * the database is able to carry out the others.
 */
export function mayBeOfOneRequest(error: unknown): boolean {
  const { code } = postgresError(error);
  return (
    isRefusal(error) && (!isUnavailable(error) || code === '55P03' || code === '40001' || code === '40P01')
  );
}

/**
 * A 503 for a database that cannot be asked, a 400 for a field that an operation refuses (refuse.sql); any other error as
 * it is.
 */
export function translateDatabaseError(error: unknown): unknown {
  const field = fieldOf(postgresError(error));
  if (field !== undefined) return new ValidationError([{ field, message: 'is not valid' }]);
  return isUnavailable(error) ? new ServiceUnavailable() : error;
}
