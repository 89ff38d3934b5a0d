import { type FieldError, ServiceError } from './service-error.js';

/** 400: the request cannot be read. */
export class MalformedRequest extends ServiceError {
  static readonly example: ServiceError = new MalformedRequest('The body is not valid JSON');

  constructor(message: string, error: FieldError = { field: 'body', message }) {
    super(400, 'request.malformed', message, { errors: [error] });
  }
}

/** 400: the path cannot be read. */
export class MalformedPath extends MalformedRequest {
  static override readonly example = new MalformedPath();

  constructor() {
    const message = 'The path is not valid percent-encoding';
    super(message, { field: 'path', message });
  }
}

/** 404: no such route. */
export class RouteNotFound extends ServiceError {
  constructor(message = 'Not found') {
    super(404, 'route.not_found', message);
  }
}

/** 405: the path has routes, but none with this method. */
export class MethodNotAllowed extends ServiceError {
  constructor(methods: readonly string[]) {
    super(405, 'request.method_not_allowed', `The methods of this path are ${methods.join(', ')}`, {
      methods,
    });
  }
}

/** 408: the request did not arrive in time. */
export class RequestTimedOut extends ServiceError {
  constructor() {
    super(408, 'request.timeout', 'The request was not sent in time');
  }
}

/** 413: the body, or what frames it, is too large. */
export class RequestTooLarge extends ServiceError {
  static readonly example: ServiceError = new RequestTooLarge(
    'The body is larger than 100 kB',
    'must be at most 100 kB',
  );

  constructor(message: string, limit?: string) {
    super(413, 'request.too_large', message, limit ? { errors: [{ field: 'body', message: limit }] } : {});
  }
}

/** 413 of the operations that take more than others. */
export class LargeBodyTooLarge extends RequestTooLarge {
  static override readonly example = new LargeBodyTooLarge();

  constructor() {
    super('The body is larger than 10 MB', 'must be at most 10 MB');
  }
}

/** 415: the body is not declared as JSON in UTF-8, or it is compressed in a way that is not taken. */
export class UnsupportedMediaType extends ServiceError {
  static readonly example = new UnsupportedMediaType({
    field: 'Content-Type',
    message: 'must be application/json',
  });

  constructor(error: FieldError, message = 'The body must be sent as application/json in UTF-8') {
    super(415, 'request.unsupported_media_type', message, { errors: [error] });
  }

  static ofCharset(): UnsupportedMediaType {
    return new UnsupportedMediaType({ field: 'Content-Type', message: 'must have no charset or utf-8' });
  }

  static ofEncoding(): UnsupportedMediaType {
    const error = { field: 'Content-Encoding', message: 'must be gzip, deflate or identity' };
    return new UnsupportedMediaType(error, 'The encoding of the body is not supported');
  }
}

/** 431: the headers are too large. */
export class HeadersTooLarge extends ServiceError {
  constructor() {
    super(431, 'request.headers_too_large', 'The headers are larger than 16 kB');
  }
}

/** 500: a fault of the service. The log has it under the id of the request. */
export class InternalError extends ServiceError {
  constructor() {
    super(500, 'internal', 'Internal server error');
  }
}
