import {
  type CanActivate,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type PipeTransform,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { json, raw, type Request, type RequestHandler, type Response } from 'express';
import { LargeBodyTooLarge, UnsupportedMediaType } from '../errors/request-errors.js';
import { refuseLargeJson } from './json-limits.js';

const readJson = json({
  limit: '100kb',
  verify: (_request, _response, bytes, charset) => {
    // A type that names two could have others counted than are parsed.
    if (charset !== 'utf-8') throw UnsupportedMediaType.ofCharset();
    refuseLargeJson(bytes);
  },
});
const readBytes = raw({ limit: 10 * 1024 * 1024, type: () => true });

/** A body says nothing in a GET or a DELETE (RFC 9110, 9.3), and is not read there. */
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH']);

/**
 * Other encodings are refused before a decoder is made: a few bytes of Brotli or Zstandard make theirs take megabytes, and
 * body-parser leaves the decoder of a client that hangs up to the garbage collector.
 */
const ENCODINGS = new Set(['gzip', 'deflate', 'identity']);

const LARGE_BODY = Symbol('large body');

interface LargeBodyOptions {
  /** Whether newline-delimited JSON is taken as well. */
  readonly mayBeLines?: boolean;
}

/**
 * Reads the body of every route as JSON of at most 100 kB, unless the route has a `LargeBody`. It comes after the rate
 * limit, the access rules and the turn: until then nothing of a body is inflated or kept. Without a route nothing is read.
 */
@Injectable()
export class BodyGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): true | Promise<true> {
    const http = context.switchToHttp();
    const request = http.getRequest<Request>();
    if (!WITH_BODY.has(request.method)) return true;
    const large = this.reflector.get<LargeBodyOptions | undefined>(LARGE_BODY, context.getHandler());
    requireReadable(request, large?.mayBeLines ?? false);
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
function requireReadable(request: Request, mayBeLines: boolean): void {
  const encoding = request.headers['content-encoding'] || 'identity';
  if (!ENCODINGS.has(encoding.toLowerCase())) throw UnsupportedMediaType.ofEncoding();
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length']) > 0;
  if (!hasBody) return;
  const isLines = mayBeLines && request.is('application/x-ndjson');
  if (!request.is('json') && !isLines) throw UnsupportedMediaType.example;
  const charset = /charset\s*=\s*"?([^\s;"]*)/i.exec(request.headers['content-type'] ?? '')?.[1];
  // JSON is UTF-8 (RFC 8259, 8.1); in UTF-7 or UTF-16 it would mean something else to a filter that read it before.
  const isUtf8 = charset === undefined || charset.toLowerCase() === 'utf-8';
  if (!isUtf8) throw UnsupportedMediaType.ofCharset();
}

function largeBodyProblem(error: unknown): Error {
  return (error as { type?: string }).type === 'entity.too.large'
    ? new LargeBodyTooLarge()
    : (error as Error);
}
