import { ServiceError } from '../common/errors/service-error.js';

const WAIT_SECONDS = 5;
export const MAXIMUM_ENDPOINTS = 100;
export const STREAMS_PER_CALLER = 10;

/** 404: no such endpoint. */
export class WebhookNotFound extends ServiceError {
  constructor() {
    super(404, 'webhook.not_found', 'Webhook endpoint not found');
  }
}

/** 404: the endpoint has no such delivery. */
export class DeliveryNotFound extends ServiceError {
  constructor() {
    super(404, 'webhook.delivery_not_found', 'Webhook delivery not found');
  }
}

/** 409: nothing is delivered to an endpoint that is switched off. */
export class WebhookInactive extends ServiceError {
  constructor() {
    super(409, 'webhook.inactive', 'This webhook endpoint is switched off');
  }
}

/** 409: as many endpoints as there may be. */
export class TooManyWebhooks extends ServiceError {
  constructor() {
    super(409, 'webhook.too_many', `There may be at most ${MAXIMUM_ENDPOINTS} webhook endpoints`);
  }
}

/** 422: a URL that nothing will ever be delivered to. */
export class TargetRefused extends ServiceError {
  static readonly example = new TargetRefused('must begin with https://');

  constructor(problem: string) {
    super(422, 'webhook.target_refused', `The URL ${problem}`, {
      errors: [{ field: 'url', message: problem }],
    });
  }
}

/** 409: no event has ever had this id; the client knows of another database, or of one that was restored since. */
export class PositionUnknown extends ServiceError {
  constructor() {
    super(409, 'events.position_unknown', 'No event has this id yet: reconnect without Last-Event-ID');
  }
}

/** 429: the caller has as many streams open as anyone may have. */
export class TooManyOwnStreams extends ServiceError {
  constructor() {
    super(429, 'events.too_many_streams', `A user may have at most ${STREAMS_PER_CALLER} streams open`, {
      retryAfterSeconds: WAIT_SECONDS,
    });
  }
}

/** 503: this instance has as many streams open as it may have, or it is being stopped. */
export class NoStreamLeft extends ServiceError {
  constructor() {
    super(503, 'events.no_stream_left', 'No more streams can be opened right now; try again', {
      retryAfterSeconds: WAIT_SECONDS,
    });
  }
}
