import { applyDecorators } from '@nestjs/common';
import {
  ApiExtraModels,
  ApiProperty,
  ApiPropertyOptional,
  ApiResponse,
  getSchemaPath,
} from '@nestjs/swagger';
import { PROBLEM_CODES, SHORTAGE_CODES } from '../errors/problem-codes.js';

export class FieldErrorDto {
  @ApiProperty({ description: 'Name of the field, with its path', example: 'credits' })
  field: string;

  @ApiProperty({
    description: 'What is wrong with it',
    example: 'must be a whole number from 1 to 1000000000000',
  })
  message: string;
}

/** An error answer in the form of RFC 9457. */
export class ProblemDto {
  @ApiProperty({ description: 'URN made of the code', example: 'urn:problem-type:credits.insufficient' })
  type: string;

  @ApiProperty({ description: 'The status in words', example: 'Payment Required' })
  title: string;

  @ApiProperty({ type: 'integer', description: 'The HTTP status', example: 402, minimum: 400, maximum: 599 })
  status: number;

  @ApiProperty({ description: 'What went wrong, for people', example: 'Insufficient credits' })
  detail: string;

  @ApiProperty({ description: 'The same as detail', example: 'Insufficient credits' })
  message: string;

  @ApiProperty({
    enum: PROBLEM_CODES,
    enumName: 'ProblemCode',
    description: 'What went wrong, for programs. A code stays what it means; later versions may have more',
    example: 'validation.failed',
  })
  code: string;

  @ApiProperty({
    description: 'The id this request has in the logs',
    example: '5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d',
  })
  requestId: string;

  @ApiPropertyOptional({ type: () => [FieldErrorDto], description: 'The fields at fault' })
  errors?: FieldErrorDto[];
}

/** 402: what was needed and what is there. */
export class InsufficientCreditsDto extends ProblemDto {
  @ApiProperty({
    enum: SHORTAGE_CODES,
    enumName: 'ShortageCode',
    description: 'Whether the balance is too low, or what is left of the limit of the API key',
    example: 'credits.insufficient',
  })
  declare code: string;

  @ApiProperty({ type: 'integer', description: 'Credits needed', example: 4 })
  requiredCredits: number;

  @ApiProperty({ type: 'integer', description: 'Credits available', example: 3 })
  availableCredits: number;

  @ApiPropertyOptional({
    type: 'integer',
    description: 'The largest estimate that the available credits could hold (starting a session only)',
    example: 666,
  })
  maxAffordableTokens?: number;
}

interface Example {
  code: string;
  detail: string;
  title: string;
  description: string;
}

const EXAMPLES: Record<number, Example> = {
  400: {
    title: 'Bad Request',
    code: 'validation.failed',
    detail: 'credits: must be a whole number',
    description: 'The request is not of the documented form; `errors` names the fields',
  },
  401: {
    title: 'Unauthorized',
    code: 'auth.token_required',
    detail: 'Authentication token required',
    description: 'Credentials are missing or invalid',
  },
  402: {
    title: 'Payment Required',
    code: 'credits.insufficient',
    detail: 'Insufficient credits',
    description: 'Too few credits; nothing was changed',
  },
  403: {
    title: 'Forbidden',
    code: 'auth.role_required',
    detail: 'Supervisor access required',
    description: 'The caller is not allowed to do this',
  },
  404: {
    title: 'Not Found',
    code: 'account.not_found',
    detail: 'User account not found',
    description: 'Not found, or not visible to the caller',
  },
  409: {
    title: 'Conflict',
    code: 'session.conflict',
    detail: 'This session id is already in use with different content',
    description: 'It conflicts with the present state; nothing was changed',
  },
  413: {
    title: 'Payload Too Large',
    code: 'request.too_large',
    detail: 'The body is larger than 100 kB',
    description: 'The body is too large',
  },
  415: {
    title: 'Unsupported Media Type',
    code: 'request.unsupported_media_type',
    detail: 'The body must be sent as application/json',
    description: 'The body is not declared as JSON',
  },
  422: {
    title: 'Unprocessable Entity',
    code: 'idempotency.mismatch',
    detail: 'This Idempotency-Key was used for a different request',
    description: 'The request is valid, but a rule forbids it',
  },
  429: {
    title: 'Too Many Requests',
    code: 'rate_limit.exceeded',
    detail: 'Too many requests',
    description: 'The rate limit is used up; retry after `Retry-After` seconds',
  },
  500: {
    title: 'Internal Server Error',
    code: 'internal',
    detail: 'Internal server error',
    description: 'An internal error; the log has it under `requestId`',
  },
  502: {
    title: 'Bad Gateway',
    code: 'gateway.failed',
    detail: 'The gateway does not accept requests of this service',
    description: 'The gateway could not be used; no key was created',
  },
  503: {
    title: 'Service Unavailable',
    code: 'service.unavailable',
    detail: 'The database does not answer right now; try again',
    description: 'The database cannot be reached; nothing was partly done; retry after `Retry-After` seconds',
  },
};

/** Documents error answers with their schema and an example each. */
export function ApiProblems(...statuses: number[]): MethodDecorator & ClassDecorator {
  return applyDecorators(
    ApiExtraModels(ProblemDto, InsufficientCreditsDto),
    ...statuses.map((status) => ApiResponse({ status, ...problemResponse(status) })),
  );
}

/** One error answer as the OpenAPI document describes it. */
export function problemResponse(status: number) {
  const { title, code, detail, description } = EXAMPLES[status] as Example;
  const members = status === 402 ? { requiredCredits: 4, availableCredits: 3 } : {};
  const retryAfter = { description: 'Seconds', schema: { type: 'integer', minimum: 1 } } as const;
  return {
    description,
    ...(status === 429 || status === 503 ? { headers: { 'Retry-After': retryAfter } } : {}),
    content: {
      'application/problem+json': {
        schema: { $ref: getSchemaPath(status === 402 ? InsufficientCreditsDto : ProblemDto) },
        example: {
          type: `urn:problem-type:${code}`,
          title,
          status,
          detail,
          message: detail,
          code,
          requestId: '5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d',
          ...members,
        },
      },
    },
  };
}
