import { type FieldError, ServiceError } from '../common/errors/service-error.js';

/** 401: no token where one is needed. */
export class TokenRequired extends ServiceError {
  constructor() {
    super(401, 'auth.token_required', 'Authentication token required');
  }
}

/** 401: the token's signature, form or claims are not acceptable; `errors` names a claim at fault. */
export class InvalidToken extends ServiceError {
  constructor(errors?: FieldError[]) {
    super(401, 'auth.invalid_token', 'Invalid token', errors ? { errors } : {});
  }
}

/** 401: a token of another type, for example a refresh token. */
export class InvalidTokenType extends ServiceError {
  constructor() {
    super(401, 'auth.invalid_token_type', 'Invalid token type');
  }
}

/** 401: the token was good until a while ago. */
export class TokenExpired extends ServiceError {
  constructor() {
    super(401, 'auth.token_expired', 'Token expired');
  }
}

/** 401: the internal API key is not the configured one, or none is configured. */
export class InvalidInternalKey extends ServiceError {
  constructor() {
    super(401, 'auth.invalid_internal_key', 'Invalid internal API key');
  }
}

/** 503: the authentication service's keys could not be fetched; the token may be good, so the caller should come again. */
export class KeysUnavailable extends ServiceError {
  constructor() {
    super(503, 'auth.keys_unavailable', 'The signing keys cannot be fetched right now', {
      retryAfterSeconds: 5,
    });
  }
}

/** 403: the role is not enough. */
export class RoleRequired extends ServiceError {
  constructor(role: 'supervisor' | 'admin') {
    super(
      403,
      'auth.role_required',
      role === 'admin' ? 'Admin access required' : 'Supervisor access required',
    );
  }
}

/** 403: only the chat service may meter (`METERING_CALLERS=service`). */
export class ServiceCallerRequired extends ServiceError {
  constructor() {
    super(403, 'auth.service_required', 'Internal API key required for metering calls');
  }
}

/** 403: a token of one user named another. */
export class ForeignUser extends ServiceError {
  constructor() {
    super(403, 'auth.foreign_user', 'A user may act on their own account only', {
      errors: [{ field: 'userId', message: 'must be the user of the access token' }],
    });
  }
}
