import { createParamDecorator, type ExecutionContext, type PipeTransform } from '@nestjs/common';
import { raw, type Request, type Response } from 'express';
import { isLosslessNumber, parse } from 'lossless-json';
import {
  LargeBodyTooLarge,
  MalformedRequest,
  UnsupportedMediaType,
} from '../common/errors/request-errors.js';
import { ServiceError, ValidationError } from '../common/errors/service-error.js';
import type { PriceMap } from './price-map.js';

const BODY_LIMIT_BYTES = 10 * 1024 * 1024;
/** More entries than any catalogue has; the answer may name them all. */
const MAXIMUM_MODELS = 10_000;

const readBytes = raw({ limit: BODY_LIMIT_BYTES, type: () => true });

interface Exchange {
  request: Request;
  response: Response;
}

/**
 * Reads a large JSON body and keeps every number as its text. As a pipe it runs after the guards: only who may import can
 * send so much.
 */
class PriceMapPipe implements PipeTransform<Exchange, Promise<PriceMap>> {
  async transform({ request, response }: Exchange): Promise<PriceMap> {
    requireUtf8(request.headers['content-type']);
    await new Promise<void>((done, fail) => {
      readBytes(request, response, (error?: unknown) => (error ? fail(readProblem(error)) : done()));
    });
    const map = Buffer.isBuffer(request.body) ? parseExactly(request.body) : undefined;
    // It is no longer needed, and now nothing can log it.
    request.body = undefined;
    if (typeof map !== 'object' || map === null || Array.isArray(map) || isLosslessNumber(map)) {
      throw bodyProblem('must be a JSON object of models');
    }
    if (Object.keys(map).length > MAXIMUM_MODELS)
      throw bodyProblem(`must have at most ${MAXIMUM_MODELS} models`);
    return map as PriceMap;
  }
}

const RequestExchange = createParamDecorator((_: unknown, context: ExecutionContext): Exchange => {
  const http = context.switchToHttp();
  return { request: http.getRequest<Request>(), response: http.getResponse<Response>() };
});

/** The body as a price map, up to 10 MB. */
export const PriceMapBody = () => RequestExchange(new PriceMapPipe());

function bodyProblem(message: string): ValidationError {
  return new ValidationError([{ field: 'body', message }]);
}

function readProblem(error: unknown): Error {
  if ((error as { type?: string }).type !== 'entity.too.large') return error as Error;
  return new LargeBodyTooLarge();
}

function requireUtf8(contentType: string | undefined): void {
  const charset = /charset\s*=\s*"?([^\s;"]+)/i.exec(contentType ?? '')?.[1];
  if (charset === undefined || /^utf-?8$/i.test(charset)) return;
  throw new UnsupportedMediaType({ field: 'Content-Type', message: 'must have no charset or utf-8' });
}

/** The parser's own messages repeat pieces of the body, so they go no further. */
function parseExactly(body: Buffer): unknown {
  try {
    return parse(new TextDecoder('utf-8', { fatal: true }).decode(body), null, {
      onDuplicateKey: () => {
        throw bodyProblem('must not name one key twice with different values');
      },
    });
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    // RangeError: nested so deeply that the stack would not do.
    throw new MalformedRequest('The body is not valid JSON');
  }
}
