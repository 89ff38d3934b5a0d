import type { components } from './schema.js';

/** A budget that stands in the way of a call. */
export type Limit = components['schemas']['LimitDto'];

/** What the service or the client knows about a refusal; each member is there where it applies. */
export interface RefusalDetails {
  /** HTTP status of the service's answer, or 503 where there was none. */
  status?: number | undefined;
  /** The service's stable code, such as `credits.insufficient`; `client.…` where this client refuses. */
  code: string;
  /** Every budget that stands in the way. */
  limits?: Limit[] | undefined;
  /** Output tokens that hold, balance and budgets can pay for. */
  maxAffordableTokens?: number | undefined;
  /** In credits. */
  requiredCredits?: number | undefined;
  /** In credits. */
  availableCredits?: number | undefined;
  /** Seconds after which a retry makes sense. */
  retryAfterSeconds?: number | undefined;
  /** Of a stream that was stopped: the tokens it had generated, as counted or estimated. */
  generatedTokens?: number | undefined;
  /** Of a stream that was stopped: the provider's usage as far as it was reported. */
  usage?: Record<string, unknown> | undefined;
}

/** The names of the errors, which those of the provider modules share. */
export type ErrorName = 'AccountingError' | 'CreditsExhausted' | 'LimitExceeded' | 'AccountingUnavailable';

/**
 * The service refused a request, or this client refused to make one. What `metered` clients throw extends the SDK's
 * `APIError` instead; `instanceof` with the classes of this module holds for those, too.
 */
export class AccountingError extends Error implements RefusalDetails {
  override readonly name: ErrorName = 'AccountingError';
  declare readonly status: number | undefined;
  declare readonly code: string;
  declare readonly limits: Limit[];
  declare readonly maxAffordableTokens: number | undefined;
  declare readonly requiredCredits: number | undefined;
  declare readonly availableCredits: number | undefined;
  declare readonly retryAfterSeconds: number | undefined;
  declare readonly generatedTokens: number | undefined;
  declare readonly usage: Record<string, unknown> | undefined;

  constructor(message: string, details: RefusalDetails, options?: ErrorOptions) {
    super(message, options);
    Object.assign(this, { limits: [] }, details);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // The errors of the provider modules carry the original as their cause.
    const original = (value as { cause?: unknown } | null | undefined)?.cause;
    return [value, original].some((each) => isInstance(each, this.prototype));
  }
}

/** 402: balance or budgets do not cover the call, or no longer cover the stream. */
export class CreditsExhausted extends AccountingError {
  override readonly name = 'CreditsExhausted';
}

/** 429: a limit of tokens, sessions or requests is reached; `retryAfterSeconds` says when it makes sense to try again. */
export class LimitExceeded extends AccountingError {
  override readonly name = 'LimitExceeded';
}

/** The service does not answer, or answers 5xx. Nothing is known about what it did. */
export class AccountingUnavailable extends AccountingError {
  override readonly name = 'AccountingUnavailable';
}

const isInstance = (value: unknown, prototype: object) =>
  typeof value === 'object' && value !== null && Object.prototype.isPrototypeOf.call(prototype, value);

/** An error of this client's own making, before any request. */
export const misuse = (code: string, message: string) =>
  new AccountingError(message, { code: `client.${code}` });
