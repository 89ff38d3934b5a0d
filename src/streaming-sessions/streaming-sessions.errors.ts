import { ServiceError } from '../common/errors/service-error.js';

/** 404: the user has no session of that id. */
export class SessionNotFound extends ServiceError {
  constructor() {
    super(404, 'session.not_found', 'Active streaming session not found');
  }
}

/** 409: the session has ended, and not in the way this call says; `errors` names what to do. */
export class SessionAlreadyEnded extends ServiceError {
  static readonly example = new SessionAlreadyEnded('belongs to a session that has ended: use a new id');

  constructor(message: string) {
    super(409, 'session.already_ended', 'The streaming session has already ended', {
      errors: [{ field: 'sessionId', message }],
    });
  }
}

/** 409: the id is in use with another model or estimate. */
export class SessionConflict extends ServiceError {
  constructor() {
    super(409, 'session.conflict', 'This session id is already in use with different content', {
      errors: [{ field: 'sessionId', message: 'is in use with another model or estimate' }],
    });
  }
}
