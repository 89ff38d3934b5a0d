import { createHash } from 'node:crypto';
import { applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { IdempotencyMismatch, SecretGone, ValidationError } from '../errors/service-error.js';
import { ApiProblems } from './problem.dto.js';

export const IDEMPOTENCY_KEY = 'Idempotency-Key';
export const IDEMPOTENCY_REPLAYED = 'Idempotency-Replayed';
const PRINTABLE = /^[\x20-\x7e]{1,255}$/;

/** What makes a retry safe, as a part of an operation's request: the caller's key, if it sent one, and what was asked. */
export interface Idempotency {
  readonly callerId: string;
  readonly idempotencyKey: string | null;
  /** SHA-256 in hexadecimal. */
  readonly requestHash: string | null;
}

/** The `Idempotency-Key` header (1–255 printable characters), or null. */
export const IdempotencyKey = createParamDecorator((_: unknown, context: ExecutionContext): string | null => {
  const header = context.switchToHttp().getRequest<Request>().headers['idempotency-key'];
  if (header === undefined) return null;
  const key = String(header);
  if (!PRINTABLE.test(key)) {
    throw new ValidationError([
      { field: 'Idempotency-Key', message: 'must be 1 to 255 printable characters' },
    ]);
  }
  return key;
});

/** Documents the header. It has no example: Swagger UI would send that with every request, and the second one would be a 422. */
export const ApiIdempotent = ({ answersSecret = false } = {}) =>
  applyDecorators(
    ApiProblems(IdempotencyMismatch, ...(answersSecret ? [SecretGone] : [])),
    ApiHeader({
      name: IDEMPOTENCY_KEY,
      required: false,
      description:
        'Makes retries safe: a request with the same key and the same body gets the first response again, with the header `Idempotency-Replayed: true`. ' +
        'A key is kept for 24 hours, separately for each caller and account.' +
        (answersSecret
          ? ' Use a random key, such as a UUID: it also encrypts the stored copy of the secret in this response.'
          : ''),
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: PRINTABLE.source },
    }),
  );

/**
 * The identity of a request: who, which operation, and what. Scoped to the caller: no caller meets another's keys.
 *
 * @param content everything that makes the request what it is; key order does not matter
 */
export function idempotencyOf(
  callerId: string,
  operation: string,
  key: string | null,
  content: object,
): Idempotency {
  if (key === null) return { callerId, idempotencyKey: null, requestHash: null };
  const hash = createHash('sha256')
    .update(`${operation}\n${canonicalJson(content)}`)
    .digest('hex');
  return { callerId, idempotencyKey: key, requestHash: hash };
}

/** JSON with sorted keys and without members that are null: the same content is the same text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(
          Object.entries(item)
            .filter(([, member]) => member !== null)
            .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
        )
      : item,
  );
}

/** Says in the answer's header that it is an earlier answer again. */
export function markReplayed(response: Response, replayed: boolean | undefined): void {
  if (replayed) response.setHeader(IDEMPOTENCY_REPLAYED, 'true');
}
