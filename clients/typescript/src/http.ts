import type { Accounting } from './accounting.js';
import { AccountingError } from './errors.js';

/**
 * The connection for the user whose token an `Authorization` header carries.
 *
 * @throws AccountingError 401 `client.no_token`: without a token, no other user pays in its place
 */
export function forBearer(accounting: Accounting, authorization: string | null | undefined): Accounting {
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined)
    throw new AccountingError('The request carries no bearer token', {
      status: 401,
      code: 'client.no_token',
    });
  return accounting.for({ token });
}

/** A refusal as a route may answer it: status, headers, and a body in the form of the service's own errors. */
export interface Problem {
  status: number;
  headers: Record<string, string>;
  body: { title: string; status: number; code: string; detail: string; limits: AccountingError['limits'] };
}

/** @returns undefined if the error is none of accounting, or one that is not the user's to know */
export function problemOf(error: unknown): Problem | undefined {
  if (!(error instanceof AccountingError)) return undefined;
  // An SDK writes the status into the message of its errors.
  const { status = 0, code, message, limits, retryAfterSeconds } = original(error);
  const title = TITLES[status];
  if (title === undefined) return undefined;
  const retry: Record<string, string> =
    retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...retry },
    body: { title, status, code, detail: message, limits },
  };
}

const original = (error: AccountingError) => (error.cause instanceof AccountingError ? error.cause : error);

const TITLES: Record<number, string> = {
  401: 'Unauthorized',
  402: 'Payment Required',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};
