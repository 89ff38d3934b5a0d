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
    super(409, 'api_key.ended', 'This API key is revoked or has expired');
  }
}

/** 409: the user has as many keys as anyone may have. */
export class TooManyApiKeys extends ServiceError {
  constructor(maximum: number) {
    super(409, 'api_key.too_many', `A user may have at most ${maximum} active API keys`);
  }
}
