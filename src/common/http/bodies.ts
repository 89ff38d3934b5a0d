import {
  type CanActivate,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type PipeTransform,
  SetMetadata,
} from '@nestjs/common';
import { json, raw, type Request, type RequestHandler, type Response } from 'express';
import { LargeBodyTooLarge, UnsupportedMediaType } from '../errors/request-errors.js';
import type { AuthenticatedRequest } from './caller.js';
import { refuseLargeJson } from './json-limits.js';
import { RouteMetadata } from './route-metadata.js';

const readJson = json({
  limit: '100kb',
  verify: (_request, _response, bytes, charset) => {
    // A type that names two could have others counted than are parsed.
    if (charset !== 'utf-8') throw unsupported('must have no charset or utf-8');
    refuseLargeJson(bytes);
  },
});
const readBytes = raw({ limit: 10 * 1024 * 1024, type: () => true });

/** A body says nothing in a GET or a DELETE (RFC 9110, 9.3), and is not read there. */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);

const LARGE_BODY = Symbol('large body');
const BODY_OF_ANYONE = Symbol('body of anyone');

/** For a public route that takes a body. */
export const BodyOfAnyone = () => SetMetadata(BODY_OF_ANYONE, true);

interface LargeBodyOptions {
  /** Whether newline-delimited JSON is taken as well. */
  readonly mayBeLines?: boolean;
}

/**
 * Reads the body of every route as JSON of at most 100 kB, unless the route has a `LargeBody`. It comes after the caller,
 * the rate limit and the turn: until then nothing of a body is inflated or kept. It comes before the access rules, because a
 * trusted service may name the user in the body. Without a route nothing is read, and
 * without a caller only where the route says so.
 */
@Injectable()
export class BodyGuard implements CanActivate {
  constructor(private readonly metadata: RouteMetadata) {}

  canActivate(context: ExecutionContext): true | Promise<true> {
    const http = context.switchToHttp();
    const request = http.getRequest<AuthenticatedRequest>();
    if (!WITH_BODY.has(request.method)) return true;
    const declared = <Value>(key: symbol) =>
      this.metadata.getAllAndOverride<Value | undefined>(key, [context.getHandler()]);
    if (request.user === undefined && declared(BODY_OF_ANYONE) !== true) return true;
    const large = declared<LargeBodyOptions>(LARGE_BODY);
    requireJson(request, large?.mayBeLines ?? false);
    return large === undefined ? read(readJson, request, http.getResponse<Response>()) : true;
  }
}

interface Exchange {
  request: Request;
  response: Response;
}

/** Runs as a pipe and so after the guards: only an authorised sender can send so much. */
class LargeBodyPipe implements PipeTransform<Exchange, Promise<Buffer | undefined>> {
  async transform({ request, response }: Exchange): Promise<Buffer | undefined> {
    await read(readBytes, request, response).catch((error: unknown) => {
      throw largeBodyProblem(error);
    });
    const body: unknown = request.body;
    // It is no longer needed, and now nothing can log what is in it.
    request.body = undefined;
    return Buffer.isBuffer(body) ? body : undefined;
  }
}

const RequestExchange = createParamDecorator((_: unknown, context: ExecutionContext): Exchange => {
  const http = context.switchToHttp();
  return { request: http.getRequest<Request>(), response: http.getResponse<Response>() };
});

/**
 * The body's bytes, up to 10 MB, in place of JSON of at most 100 kB: the route that has this parameter reads its body
 * itself. Undefined when there is none.
 */
export const LargeBody =
  (options: LargeBodyOptions = {}, ...pipes: PipeTransform[]): ParameterDecorator =>
  (target, method, index) => {
    const handler = (target as Record<string | symbol, object>)[method as string] as object;
    Reflect.defineMetadata(LARGE_BODY, options, handler);
    RequestExchange(new LargeBodyPipe(), ...pipes)(target, method, index);
  };

function read(reader: RequestHandler, request: Request, response: Response): Promise<true> {
  return new Promise((done, fail) => {
    void reader(request, response, (error?: unknown) => (error instanceof Error ? fail(error) : done(true)));
  });
}

/** A body of another type would be read as no body at all; the caller gets an error instead. */
function requireJson(request: Request, mayBeLines: boolean): void {
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0;
  if (!hasBody) return;
  const isLines = mayBeLines && request.is('application/x-ndjson');
  if (!request.is('json') && !isLines) throw unsupported('must be application/json');
  const charset = /charset\s*=\s*"?([^\s;"]*)/i.exec(request.headers['content-type'] ?? '')?.[1];
  // JSON is UTF-8 (RFC 8259, 8.1); in UTF-7 or UTF-16 it would mean something else to a filter that read it before.
  const isUtf8 = charset === undefined || /^utf-?8$/i.test(charset);
  if (!isUtf8) throw unsupported('must have no charset or utf-8');
}

function unsupported(message: string): UnsupportedMediaType {
  return new UnsupportedMediaType({ field: 'Content-Type', message });
}

function largeBodyProblem(error: unknown): Error {
  return (error as { type?: string }).type === 'entity.too.large'
    ? new LargeBodyTooLarge()
    : (error as Error);
}
