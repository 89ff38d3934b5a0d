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

/** 401: an API key where a token belongs, as some other services take it. The error says so: a caller would look for a fault in its token. */
export class ApiKeyAsToken extends ServiceError {
  constructor() {
    super(401, 'auth.invalid_token', 'Invalid token: an API key is sent in the X-API-Key header');
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

/** 401: no such API key, or one that is revoked or has expired: the caller does not learn which. */
export class InvalidApiKey extends ServiceError {
  constructor() {
    super(401, 'auth.invalid_api_key', 'Invalid API key');
  }
}

/** 401: a token and an API key at once, or two tokens; the caller must not depend on which is read first. */
export class AmbiguousCredentials extends ServiceError {
  constructor() {
    super(401, 'auth.ambiguous_credentials', 'Send one access token or one API key');
  }
}

/** 403: the API key lacks a permission. */
export class PermissionRequired extends ServiceError {
  constructor(permission: string) {
    super(403, 'auth.permission_required', `Permission ${permission} required`);
  }
}

/** 403: only people with an access token of their own may do this; neither API keys nor services alone. */
export class UserTokenRequired extends ServiceError {
  constructor() {
    super(403, 'auth.user_token_required', 'Access token of a user required');
  }
}

/** 401: the internal API key is not the configured one, or none is configured. */
export class InvalidInternalKey extends ServiceError {
  constructor() {
    super(401, 'auth.invalid_internal_key', 'Invalid internal API key');
  }
}

/** When a caller should retry after the key of their token could not be looked up. */
export const KEYS_RETRY_SECONDS = 5;

/** 503: the authentication service's keys could not be fetched; the token may be valid, so the caller should retry. */
export class KeysUnavailable extends ServiceError {
  constructor() {
    super(503, 'auth.keys_unavailable', 'The signing keys cannot be fetched right now', {
      retryAfterSeconds: KEYS_RETRY_SECONDS,
    });
  }
}

/** 503: the session's access token has expired, and the OpenID provider could not be asked for the next one. */
export class ProviderUnavailable extends ServiceError {
  constructor() {
    super(503, 'auth.provider_unavailable', 'The sign-in provider does not answer right now; try again', {
      retryAfterSeconds: KEYS_RETRY_SECONDS,
    });
  }
}

/** 403: the role is not enough. */
export class RoleRequired extends ServiceError {
  constructor(role: 'supervisor' | 'admin', errors?: FieldError[]) {
    super(
      403,
      'auth.role_required',
      role === 'admin' ? 'Admin access required' : 'Supervisor access required',
      errors ? { errors } : {},
    );
  }
}

/** 403: a route without an access decorator is closed. */
export class OperationClosed extends ServiceError {
  constructor() {
    super(403, 'auth.closed', 'This operation is not available');
  }
}

/** 403: only trusted services may call this; `METERING_CALLERS=service` makes metering so. */
export class ServiceCallerRequired extends ServiceError {
  constructor() {
    super(403, 'auth.service_required', 'Internal API key required');
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

/** 403: the caller is a member of the organisation, and may not do this there. */
export class AccountRoleRequired extends ServiceError {
  constructor() {
    super(403, 'account.role_required', 'Your role in this organisation does not allow this');
  }
}
