import type { LimitFacts } from './limits';

export interface FieldError {
  readonly field: string;
  readonly message: string;
}

/** A refusal of the API, or no answer at all (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly fields: readonly FieldError[] = [],
    readonly requestId: string | null = null,
    /** Seconds after which the service accepts the next attempt. */
    readonly retryAfter: number | null = null,
    /** Every limit that stood in the way of a call. */
    readonly limits: readonly LimitFacts[] = [],
  ) {
    super(detail);
  }

  get isForbidden(): boolean {
    return this.status === 403;
  }
  get isMissing(): boolean {
    return this.status === 404;
  }
  /** The same request may succeed later; nothing was done by half. */
  get isPassing(): boolean {
    return (
      this.status === 0 ||
      this.status === 429 ||
      this.status === 502 ||
      this.status === 503 ||
      this.status === 504
    );
  }
}

export function toProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(-1, 'console.fault', (error as Error).message);
}

export function problemOf(status: number, body: unknown, headers?: Headers): Problem {
  const { code, detail, errors, requestId, limits } = (
    typeof body === 'object' && body !== null ? body : {}
  ) as Partial<{
    code: string;
    detail: string;
    errors: FieldError[];
    requestId: string;
    limits: LimitFacts[];
  }>;
  const retryAfter = Number(headers?.get('retry-after') ?? NaN);
  return new Problem(
    status,
    code ?? `http.${status}`,
    explain(code, retryAfter) ?? detail ?? `The service returned status ${status}.`,
    errors ?? [],
    requestId ?? null,
    Number.isNaN(retryAfter) ? null : retryAfter,
    limits ?? [],
  );
}

/** The API's messages are for programmers; where these need it, the console has its own. */
function explain(code: string | undefined, retryAfter: number): string | undefined {
  if (code === 'idempotency.mismatch') {
    return 'An earlier submission of this form was already carried out with different values. Close the form and check the ledger before you try again.';
  }
  if (code === 'rate_limit.exceeded') {
    const wait = Number.isNaN(retryAfter) ? 'a moment' : `${retryAfter} s`;
    return `Too many requests from this account. Wait ${wait} and try again.`;
  }
  // The limits themselves are listed below the message.
  if (code === 'budget.exceeded') return 'A budget does not cover the call.';
  if (code === 'limit.exceeded') return 'The call exceeds a limit.';
  return undefined;
}

export const noAnswer = () =>
  new Problem(0, 'connection.lost', 'The service did not respond. It may be restarting.');
