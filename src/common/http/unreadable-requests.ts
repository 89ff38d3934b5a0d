import { randomUUID } from 'node:crypto';
import { type Server, STATUS_CODES } from 'node:http';
import {
  HeadersTooLarge,
  MalformedPath,
  MalformedRequest,
  RequestTimedOut,
  RequestTooLarge,
} from '../errors/request-errors.js';
import type { ServiceError } from '../errors/service-error.js';
import type { OpenAnswers } from './open-answers.js';
import { problemOf, refusalOf } from './problem.filter.js';

/** The longest first line of which the method and the target are read; a longer one is malformed. */
const FIRST_LINE_BYTES = 2048;

/** Node's error with what the parser was given last. */
type Unreadable = NodeJS.ErrnoException & { rawPacket?: Buffer };

/**
 * Answers what cannot be read as HTTP, or not in time, in the form of every other error: no route ever sees it, and
 * Node's own answer has no body.
 *
 * @param methodsOf the methods of a path
 */
export function answerUnreadableRequests(
  server: Server,
  open: OpenAnswers,
  methodsOf: (path: string) => string[],
): void {
  server.on('clientError', (error: Unreadable, socket) => {
    // It would stand in the middle of another answer, or be taken for that of a request that is being carried out.
    const misleads = open.of(socket).some(({ headersSent, req }) => headersSent || req.complete);
    if (error.code === 'ECONNRESET' || !socket.writable || misleads) return void socket.destroy();
    const { method, target } = firstLineOf(error.rawPacket);
    const hasOtherMethod = error.code === 'HPE_INVALID_METHOD' && target !== undefined;
    const refusal = hasOtherMethod ? refusalOfMethod(target, methodsOf) : errorOf(error.code);
    socket.end(answerOf(refusal, method === 'HEAD'));
  });
}

/** The method and the target of a request, where the packet begins with them. */
function firstLineOf(packet: Buffer | undefined): { method?: string; target?: string } {
  const text = packet?.subarray(0, FIRST_LINE_BYTES).toString('latin1') ?? '';
  const [, method, target] = /^([A-Z]+) (?:(\/\S*) HTTP\/1\.[01]\r?\n)?/.exec(text) ?? [];
  return { method, target };
}

function refusalOfMethod(target: string, methodsOf: (path: string) => string[]): ServiceError {
  try {
    return refusalOf(methodsOf(target.split('?')[0] as string));
  } catch {
    return new MalformedPath();
  }
}

function answerOf(error: ServiceError, isHead: boolean): string {
  const requestId = randomUUID();
  const body = JSON.stringify(problemOf(error, requestId));
  return [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'Connection: close',
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    ...(error.details.methods ? [`Allow: ${error.details.methods.join(', ')}`] : []),
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
