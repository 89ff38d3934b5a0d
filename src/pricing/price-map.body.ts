import type { PipeTransform } from '@nestjs/common';
import { isLosslessNumber, parse } from 'lossless-json';
import { MalformedRequest } from '../common/errors/request-errors.js';
import { ServiceError, ValidationError } from '../common/errors/service-error.js';
import { LargeBody } from '../common/http/bodies.js';
import { refuseLargeJson } from '../common/http/json-limits.js';
import type { PriceMap } from './price-map.js';

/** More entries than any catalogue has; the answer may name them all. */
const MAXIMUM_MODELS = 10_000;

/** Keeps every number as its text. */
class PriceMapPipe implements PipeTransform<Buffer | undefined, PriceMap> {
  transform(body: Buffer | undefined): PriceMap {
    const map = body === undefined ? undefined : parseExactly(body);
    if (typeof map !== 'object' || map === null || Array.isArray(map) || isLosslessNumber(map)) {
      throw bodyProblem('must be a JSON object of models');
    }
    if (Object.keys(map).length > MAXIMUM_MODELS)
      throw bodyProblem(`must have at most ${MAXIMUM_MODELS} models`);
    return map as PriceMap;
  }
}

/** The body as a price map, up to 10 MB. */
export const PriceMapBody = () => LargeBody({}, new PriceMapPipe());

function bodyProblem(message: string): ValidationError {
  return new ValidationError([{ field: 'body', message }]);
}

/** The parser's own messages repeat pieces of the body, so they go no further. */
function parseExactly(body: Buffer): unknown {
  try {
    refuseLargeJson(body, Infinity);
    return parse(new TextDecoder('utf-8', { fatal: true }).decode(body), null, {
      onDuplicateKey: () => {
        throw bodyProblem('must not name one key twice with different values');
      },
    });
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new MalformedRequest('The body is not valid JSON');
  }
}
