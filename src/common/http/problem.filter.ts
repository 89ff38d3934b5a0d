import { STATUS_CODES } from 'node:http';
import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  type INestApplication,
  Logger,
} from '@nestjs/common';
import type { Express, NextFunction, Request, Response } from 'express';
import { translateDatabaseError } from '../errors/database-errors.js';
import type { ProblemCode } from '../errors/problem-codes.js';
import { ServiceError } from '../errors/service-error.js';

/** Codes of the errors that the framework itself raises. */
const FRAMEWORK_CODES: Record<number, ProblemCode> = {
  400: 'request.malformed',
  404: 'route.not_found',
  405: 'request.method_not_allowed',
  408: 'request.timeout',
  413: 'request.too_large',
  415: 'request.unsupported_media_type',
};

/** Renders every error as application/problem+json. What is not meant for the caller is logged and becomes a bare 500. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(thrown, http.getRequest<Request>(), http.getResponse<Response>());
  }
}

/** The same for requests that no route of the application has taken. */
export function answerOtherPaths(app: INestApplication): void {
  const express = app.getHttpAdapter().getInstance() as Express;
  express.use((request: Request, response: Response) =>
    sendProblem(new ServiceError(404, 'route.not_found', 'Not found'), request, response),
  );
  // Express knows an error handler by its four parameters.
  express.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    sendProblem(error, request, response),
  );
}

function sendProblem(thrown: unknown, request: Request, response: Response): void {
  const error = toServiceError(thrown);
  if (error.status >= 500) logFault(error, thrown, request);
  if (response.headersSent) {
    // Half an answer is out: only cutting the connection shows the client that it is not whole.
    response.destroy();
    return;
  }
  const { retryAfterSeconds } = error.details;
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', String(retryAfterSeconds));
  if (error.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  response
    .status(error.status)
    .type('application/problem+json')
    .send(problemText(error, requestIdOf(request)));
}

/** An error as the caller sees it, in JSON. */
export function problemText({ status, code, message, details }: ServiceError, requestId: string): string {
  const { errors, members } = details;
  return JSON.stringify({
    type: `urn:problem-type:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: message,
    message,
    code,
    requestId,
    ...(errors ? { errors } : {}),
    ...members,
  });
}

/** As the request log has given it. */
function requestIdOf(request: Request): string {
  return (request as { id?: string }).id ?? '';
}

const logger = new Logger('ProblemFilter');

function logFault(error: ServiceError, thrown: unknown, request: Request): void {
  const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
  const entry = { requestId: requestIdOf(request), code: error.code, cause: cause.message };
  if (error.status === 503) logger.warn(entry);
  else logger.error({ ...entry, stack: cause.stack });
}

function toServiceError(thrown: unknown): ServiceError {
  const error = translateDatabaseError(thrown);
  if (error instanceof ServiceError) return error;
  if (error instanceof HttpException) return fromHttpStatus(error.getStatus(), error.message);
  // Body parser and router errors of Express carry a status and a message for the caller.
  const { status, type, expose } = (error ?? {}) as { status?: number; type?: string; expose?: boolean };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return fromHttpStatus(status, expose === false ? '' : httpMessage(status, type));
  }
  if (error instanceof URIError) return malformed(error.message);
  return new ServiceError(500, 'internal', 'Internal server error');
}

function httpMessage(status: number, type: string | undefined): string {
  if (type === 'entity.parse.failed') return 'The body is not valid JSON';
  if (type === 'entity.too.large') return 'The body is larger than 100 kB';
  return STATUS_CODES[status] ?? 'Bad request';
}

/** 400: what the router or the body parser could not read. */
function malformed(message: string): ServiceError {
  // The router's message holds the path as the caller wrote it, so it may speak of anything further on.
  const isPath = /^Failed to decode param|^URI /.test(message);
  const isJson = /JSON|Unexpected|position/.test(message);
  const body = isJson ? 'The body is not valid JSON' : message;
  const detail = isPath ? 'The path is not valid percent-encoding' : body;
  return new ServiceError(400, FRAMEWORK_CODES[400] as ProblemCode, detail, {
    errors: [{ field: isPath ? 'path' : 'body', message: detail }],
  });
}

function fromHttpStatus(status: number, message: string): ServiceError {
  if (status === 400) return malformed(message);
  if (status === 413)
    return new ServiceError(413, 'request.too_large', 'The body is larger than 100 kB', {
      errors: [{ field: 'body', message: 'must be at most 100 kB' }],
    });
  return new ServiceError(
    status,
    FRAMEWORK_CODES[status] ?? `http.${status}`,
    message || (STATUS_CODES[status] ?? 'Error'),
  );
}
