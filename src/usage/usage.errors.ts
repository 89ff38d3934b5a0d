import { ServiceError } from '../common/errors/service-error.js';

/** 404: no usage record of that id. */
export class UsageNotFound extends ServiceError {
  constructor() {
    super(404, 'usage.not_found', 'Usage record not found');
  }
}

/** 422: the request id was used for another charge. */
export class RequestMismatch extends ServiceError {
  constructor() {
    super(422, 'idempotency.mismatch', 'This requestId was used for a different request', {
      errors: [{ field: 'requestId', message: 'was used for a different request' }],
    });
  }
}

/** 422: the account would have more than 10^12 credits of usage in the UTC day of the record. */
export class DayLimit extends ServiceError {
  constructor() {
    super(
      422,
      'usage.day_limit',
      'The account would have more than 1000000000000 credits of usage on that day',
      {
        errors: [{ field: 'credits', message: 'is more than the account has left for that day' }],
      },
    );
  }
}

/** 409: the record does not wait for a review. */
export class NotInReview extends ServiceError {
  constructor() {
    super(409, 'usage.not_in_review', 'This usage record does not await review');
  }
}

/** 409: a decision has settled the record before. */
export class AlreadyReviewed extends ServiceError {
  constructor() {
    super(
      409,
      'usage.already_reviewed',
      'This usage record has already been reviewed and has no open amount',
    );
  }
}

/** 409: the record has changed since the version that the decision names. */
export class UsageChanged extends ServiceError {
  constructor() {
    super(409, 'usage.changed', 'This usage record has changed: read it again and name its new version', {
      errors: [{ field: 'version', message: 'is not the current version of the record' }],
    });
  }
}
