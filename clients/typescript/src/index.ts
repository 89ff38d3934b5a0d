export { Accounting } from './accounting.js';
export type { AccountingOptions, Caller, FailOpenOptions, OnLeave, SessionRequest } from './accounting.js';
export { AccountingError, AccountingUnavailable, CreditsExhausted, LimitExceeded } from './errors.js';
export type { Limit } from './errors.js';
export type { CallUsage, ProgressOptions, Session } from './session.js';
