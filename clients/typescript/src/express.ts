import type { Accounting } from './accounting.js';
import { forBearer, problemOf } from './http.js';

interface Request {
  headers: { authorization?: string | undefined };
}
interface Response {
  headersSent: boolean;
  status(status: number): { set(headers: Record<string, string>): { send(body: string): unknown } };
}
type Next = (error?: unknown) => void;

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- Express reads the members of a request from there.
  namespace Express {
    interface Request {
      /** The connection for the user of this request; `forwardUser` sets it. */
      accounting: Accounting;
    }
  }
}

/** Express middleware: `request.accounting` is the connection for the user whose token the request carries; without one, 401. */
export function forwardUser(accounting: Accounting) {
  return (request: Request, _response: Response, next: Next): void => {
    Object.assign(request, { accounting: forBearer(accounting, request.headers.authorization) });
    next();
  };
}

/** Express error handler: answers 401, 402, 429 and 503 as the service does. Once a stream has begun, the error goes on. */
export function accountingErrors() {
  return (error: unknown, _request: Request, response: Response, next: Next): void => {
    const problem = response.headersSent ? undefined : problemOf(error);
    if (problem === undefined) return next(error);
    response.status(problem.status).set(problem.headers).send(JSON.stringify(problem.body));
  };
}
