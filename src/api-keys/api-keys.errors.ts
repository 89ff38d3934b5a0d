import { ServiceError } from '../common/errors/service-error.js';

/** 404: the caller has no API key of that id. */
export class ApiKeyNotFound extends ServiceError {
  constructor() {
    super(404, 'api_key.not_found', 'API key not found');
  }
}

/** 409: the key is revoked or has expired, so that nothing can be made of it. */
export class ApiKeyEnded extends ServiceError {
  constructor() {
    super(409, 'api_key.ended', 'This API key is revoked or expired');
  }
}

/** 409: the key has been rotated before; what continues it is its successor. */
export class ApiKeyRotated extends ServiceError {
  constructor() {
    super(409, 'api_key.rotated', 'This API key already has a successor, which can be rotated instead');
  }
}

/** As api_key_insert has it. */
const MAXIMUM_ACTIVE_KEYS = 1000;

/** 409: the user has as many keys as anyone may have. */
export class TooManyApiKeys extends ServiceError {
  constructor() {
    super(409, 'api_key.too_many', `A user may have at most ${MAXIMUM_ACTIVE_KEYS} active API keys`);
  }
}

/** 422: this installation has no gateway. */
export class GatewayNotConfigured extends ServiceError {
  constructor() {
    super(422, 'gateway.not_configured', 'This service has no gateway configured', {
      errors: [{ field: 'gateway', message: 'is not configured' }],
    });
  }
}

/** 422: the gateway gives this user id every right, so a key of such a user would have them too. */
export class GatewayUserReserved extends ServiceError {
  constructor() {
    super(422, 'gateway.user_reserved', 'This user id is reserved for the administrator of the gateway', {
      errors: [{ field: 'gateway', message: 'reserves this user id for its administrator' }],
    });
  }
}

/** 422: the gateway refuses these models or limits; no key was made. */
export class GatewayRefused extends ServiceError {
  constructor() {
    super(422, 'gateway.refused', 'The gateway refuses a key with these models and limits', {
      errors: [{ field: 'gateway', message: 'refuses these models or limits' }],
    });
  }
}

/** 502: the gateway does not take requests of this service, as with a wrong master key; no key was made. */
export class GatewayFailed extends ServiceError {
  constructor() {
    super(502, 'gateway.failed', 'The gateway does not accept requests from this service');
  }
}

/** 503: the gateway gave no answer in time; no key was made, and what it may have made is taken away again. */
export class GatewayUnavailable extends ServiceError {
  constructor() {
    super(
      503,
      'gateway.unavailable',
      'The gateway does not answer right now; no key was created. Try again',
      {
        retryAfterSeconds: 5,
      },
    );
  }
}
