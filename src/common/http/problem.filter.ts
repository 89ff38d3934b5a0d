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
import {
  InternalError,
  MalformedPath,
  MalformedRequest,
  MethodNotAllowed,
  RequestTimedOut,
  RequestTooLarge,
  RouteNotFound,
  UnsupportedMediaType,
} from '../errors/request-errors.js';
import { ServiceError } from '../errors/service-error.js';
import { methodsOf } from './route-methods.js';

/** Renders every error as application/problem+json. What is not meant for the caller is logged and becomes a bare 500. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(thrown, http.getRequest<Request>(), http.getResponse<Response>());
  }
}

/**
 * The same for requests that no route of the application has taken.
 *
 * @param count counts such a request, and throws when there were too many
 */
export function answerOtherPaths(app: INestApplication, count: (request: Request) => Promise<void>): void {
  const express = app.getHttpAdapter().getInstance() as Express;
  const answer = (problem: unknown, request: Request, response: Response) =>
    count(request)
      .catch((refusal: unknown) => (problem = refusal))
      .then(() => sendProblem(problem, request, response));
  express.use((request: Request, response: Response) =>
    answer(refusalOf(methodsOf(express, request.path)), request, response),
  );
  // Express knows an error handler by its four parameters.
  express.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    answer(error, request, response),
  );
}

/** Of a request that no route takes. @param methods those of its path */
export function refusalOf(methods: readonly string[]): ServiceError {
  return methods.length === 0 ? new RouteNotFound() : new MethodNotAllowed(methods);
}

function sendProblem(thrown: unknown, request: Request, response: Response): void {
  const error = toServiceError(thrown);
  if (error.status >= 500) logFault(error, thrown, request);
  if (response.headersSent) {
    // Half an answer is out: only cutting the connection shows the client that it is not whole.
    response.destroy();
    return;
  }
  const { retryAfterSeconds, methods } = error.details;
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', String(retryAfterSeconds));
  if (methods !== undefined) response.setHeader('Allow', methods.join(', '));
  if (error.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
  response
    .status(error.status)
    .type('application/problem+json')
    .send(JSON.stringify(problemOf(error, requestIdOf(request))));
}

/** An error as the caller sees it. */
export function problemOf({ status, code, message, details }: ServiceError, requestId: string) {
  const { errors, members } = details;
  return {
    type: `urn:problem-type:${code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: message,
    message,
    code,
    requestId,
    ...(errors ? { errors } : {}),
    ...members,
  };
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

interface ErrorOfExpress {
  status: number;
  type: string;
  /** Of zlib, where a body cannot be decompressed. */
  code: string;
  expose: boolean;
}

function toServiceError(thrown: unknown): ServiceError {
  const error = translateDatabaseError(thrown);
  if (error instanceof ServiceError) return error;
  if (error instanceof HttpException) return fromHttpStatus(error.getStatus(), error.message);
  if (error instanceof URIError) return malformed(error.message);
  // Body parser and router errors of Express carry a status and a message for the caller.
  const { status, type, code, expose } = (error ?? {}) as Partial<ErrorOfExpress>;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    if (code?.startsWith('Z_')) return new MalformedRequest('The body is not what its Content-Encoding says');
    return fromHttpStatus(status, expose === false ? '' : httpMessage(status, type));
  }
  return new InternalError();
}

function httpMessage(status: number, type: string | undefined): string {
  if (type === 'entity.parse.failed') return MalformedRequest.example.message;
  return STATUS_CODES[status] ?? 'Bad request';
}

function malformed(message: string): ServiceError {
  // The router's message holds the path as the caller wrote it, so it may speak of anything further on.
  if (/^Failed to decode param|^URI /.test(message)) return new MalformedPath();
  return /JSON|Unexpected|position/.test(message) ? MalformedRequest.example : new MalformedRequest(message);
}

function fromHttpStatus(status: number, message: string): ServiceError {
  switch (status) {
    case 400:
      return malformed(message);
    case 404:
      return new RouteNotFound(message || undefined);
    case 408:
      return new RequestTimedOut();
    case 413:
      return RequestTooLarge.example;
    case 415:
      // What body-parser refuses so: it gets no encoding that it does not know.
      return UnsupportedMediaType.ofCharset();
    default:
      return new ServiceError(status, `http.${status}`, message || (STATUS_CODES[status] ?? 'Error'));
  }
}
