import { randomUUID } from 'node:crypto';
import { type Server, STATUS_CODES } from 'node:http';
import {
  HeadersTooLarge,
  MalformedRequest,
  RequestTimedOut,
  RequestTooLarge,
} from '../errors/request-errors.js';
import type { ServiceError } from '../errors/service-error.js';
import type { OpenAnswers } from './open-answers.js';
import { problemOf } from './problem.filter.js';

/** Node's error with what the parser was given last. */
type Unreadable = NodeJS.ErrnoException & { rawPacket?: Buffer };

/**
 * Answers what cannot be read as HTTP, or not in time, in the form of every other error: no route ever sees it, and
 * Node's own answer has no body.
 */
export function answerUnreadableRequests(server: Server, open: OpenAnswers): void {
  server.on('clientError', (error: Unreadable, socket) => {
    // It would stand in the middle of another answer, or be taken for that of a request that is being carried out.
    const misleads = open.of(socket).some(({ headersSent, req }) => headersSent || req.complete);
    if (error.code === 'ECONNRESET' || !socket.writable || misleads) return void socket.destroy();
    const isHead = error.rawPacket?.subarray(0, 5).toString('latin1') === 'HEAD ';
    socket.end(answerTo(error.code, isHead));
  });
}

function answerTo(cause: string | undefined, isHead: boolean): string {
  const error = errorOf(cause);
  const requestId = randomUUID();
  const body = JSON.stringify(problemOf(error, requestId));
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'Connection: close',
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    '',
    isHead ? '' : body,
  ].join('\r\n');
}

function errorOf(cause: string | undefined): ServiceError {
  switch (cause) {
    case 'HPE_HEADER_OVERFLOW':
      return new HeadersTooLarge();
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new RequestTooLarge('The extensions of a chunk are too large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new RequestTimedOut();
    default:
      return new MalformedRequest('The request is not valid HTTP', {
        field: 'request',
        message: 'must be valid HTTP/1.1',
      });
  }
}
