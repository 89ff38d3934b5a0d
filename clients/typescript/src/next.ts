import type { Accounting } from './accounting.js';
import { forBearer, problemOf } from './http.js';

/**
 * The connection for the user whose token a request of a route handler carries.
 *
 * @throws AccountingError 401 without a token
 */
export const forUser = (accounting: Accounting, request: Request): Accounting =>
  forBearer(accounting, request.headers.get('authorization'));

/** The answer to 401, 402, 429 and 503 as the service gives it. @returns undefined for other errors: throw those */
export function problemResponse(error: unknown): Response | undefined {
  const problem = problemOf(error);
  return problem && new Response(JSON.stringify(problem.body), problem);
}
