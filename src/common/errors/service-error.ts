/** One field of a request that is wrong, and why. */
export interface FieldError {
  field: string;
  message: string;
}

export interface ServiceErrorDetails {
  /** The fields at fault, for bad input. */
  errors?: FieldError[];
  /** Further members of the answer, for example `availableCredits`. */
  members?: object;
  /** Seconds after which a retry makes sense; sent as `Retry-After`. */
  retryAfterSeconds?: number;
  /** The methods of the path; sent as `Allow`. */
  methods?: readonly string[];
}

/**
 * An error with a stable code that the caller may see. Everything else becomes a 500 that says nothing.
 * The message is public: it never holds SQL, secrets or another user's data. Each code is in one class, whose name the
 * routes give to `ApiProblems`.
 */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: ServiceErrorDetails = {},
  ) {
    super(message);
  }
}

/** A class of errors, as the document names it: with an example where its constructor takes something. */
export type ProblemClass =
  (new () => ServiceError) | { readonly name: string; readonly example: ServiceError };

/** 400: the request is not of the documented form; `errors` names each field. */
export class ValidationError extends ServiceError {
  static readonly example = new ValidationError([{ field: 'colour', message: 'is not a known field' }]);

  constructor(errors: FieldError[]) {
    super(400, 'validation.failed', errors.map((error) => `${error.field}: ${error.message}`).join('; '), {
      errors,
    });
  }
}

/** 422: an idempotency key came again with another request. */
export class IdempotencyMismatch extends ServiceError {
  constructor() {
    super(422, 'idempotency.mismatch', 'This Idempotency-Key was used for a different request', {
      errors: [{ field: 'Idempotency-Key', message: 'was used with another request in the last 24 hours' }],
    });
  }
}

/** 409: the secret of a remembered answer was sealed by another WEBHOOK_SECRETS_KEY. What was made is there. */
export class SecretGone extends ServiceError {
  constructor() {
    super(
      409,
      'idempotency.secret_gone',
      'This request has already been carried out, and its secret can no longer be read',
    );
  }
}

/** 422: a sum is larger than a JSON number can say exactly (2^53 - 1). */
export class SumTooLarge extends ServiceError {
  constructor() {
    super(
      422,
      'sum.too_large',
      'A sum is larger than 9007199254740991, the largest integer that JSON numbers represent exactly',
    );
  }
}

/** 404: no account of that id. */
export class AccountNotFound extends ServiceError {
  constructor() {
    super(404, 'account.not_found', 'User account not found');
  }
}

/** 503: the database or a place in its pool could not be had; whatever was begun is rolled back whole. */
export class ServiceUnavailable extends ServiceError {
  constructor() {
    super(503, 'service.unavailable', 'The database does not answer right now; try again', {
      retryAfterSeconds: 1,
    });
  }
}

/** For an outcome that no operation has: the answer was damaged, and whether it was carried out is unknown. */
export function unknownOutcome(_: never): ServiceUnavailable {
  return new ServiceUnavailable();
}

/** 503: a report took longer than DB_REPORT_TIMEOUT_MS. */
export class ReportTooLong extends ServiceError {
  constructor() {
    super(503, 'service.busy', 'The report exceeded its time limit; narrow it, or try again later', {
      retryAfterSeconds: 10,
    });
  }
}
