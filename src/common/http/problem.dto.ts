import { applyDecorators } from '@nestjs/common';
import { ApiExtension, ApiExtraModels, ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { type ProblemClass, ServiceError } from '../errors/service-error.js';

export class FieldErrorDto {
  @ApiProperty({ description: 'Path of the field', example: 'credits' })
  field: string;

  @ApiProperty({
    description: 'What is wrong with the field',
    example: 'must be a whole number from 1 to 1000000000000',
  })
  message: string;
}

const DETAIL = 'credits: must be a whole number from 1 to 1000000000000';

/** An error answer in the form of RFC 9457. */
export class ProblemDto {
  @ApiProperty({
    description: 'URN that contains the code',
    example: 'urn:problem-type:validation.failed',
  })
  type: string;

  @ApiProperty({ description: 'The HTTP status as text', example: 'Bad Request' })
  title: string;

  @ApiProperty({ type: 'integer', description: 'The HTTP status', example: 400, minimum: 400, maximum: 599 })
  status: number;

  @ApiProperty({ description: 'What went wrong, for people to read', example: DETAIL })
  detail: string;

  @ApiProperty({ description: 'The same as detail', example: DETAIL })
  message: string;

  @ApiProperty({
    description:
      'What went wrong, for programs. The meaning of a code never changes. Later versions may add codes: treat one ' +
      'that you do not know by its `status`',
    example: 'validation.failed',
  })
  code: string;

  @ApiProperty({
    description: 'Id of the request in the logs',
    example: '5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d',
  })
  requestId: string;

  @ApiPropertyOptional({ type: () => [FieldErrorDto], description: 'The invalid fields' })
  errors?: FieldErrorDto[];
}

/** A budget that stands in the way of a call. */
export class LimitDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 7 }) budgetId: number;
  @ApiProperty({ example: 'unit' }) scope: string;
  @ApiProperty({ type: 'string', nullable: true, example: '3' }) scopeId: string | null;
  @ApiProperty({ description: 'What the budget counts', example: 'credits' }) unit: string;
  @ApiProperty({ example: 'month' }) window: string;
  @ApiProperty({ type: 'integer', format: 'int64', description: 'The amount with its raises', example: 1000 })
  limit: number;
  @ApiProperty({ type: 'integer', format: 'int64', example: 990 }) used: number;
  @ApiProperty({ type: 'integer', format: 'int64', description: 'Reserved by open sessions', example: 8 })
  held: number;
  @ApiProperty({
    type: 'string',
    format: 'date-time',
    nullable: true,
    description: 'End of the period; null: it has none',
    example: '2026-12-01T00:00:00.000Z',
  })
  resetsAt: string | null;
}

const AMOUNT = { type: 'integer', format: 'int64', required: false } as const;
const REQUIRED = { ...AMOUNT, description: 'Credits needed', example: 4 } as const;
const AVAILABLE = { ...AMOUNT, description: 'Credits available', example: 3 } as const;
const AFFORDABLE = {
  ...AMOUNT,
  description:
    'The largest estimate that the balance and every budget have room for, in output tokens if the request ' +
    'estimates input and output tokens, otherwise in total tokens. Only when starting a session',
  example: 666,
} as const;
const LIMITS = {
  type: () => [LimitDto],
  required: false,
  description: 'Every budget that stands in the way',
};

/** 402: what was needed and what is there. */
export class InsufficientCreditsDto extends ProblemDto {
  @ApiProperty({
    description: 'URN that contains the code',
    example: 'urn:problem-type:credits.insufficient',
  })
  declare type: string;

  @ApiProperty({ description: 'The HTTP status as text', example: 'Payment Required' })
  declare title: string;

  @ApiProperty({ type: 'integer', description: 'The HTTP status', example: 402, minimum: 400, maximum: 599 })
  declare status: number;

  @ApiProperty({ description: 'What went wrong, for people to read', example: 'Insufficient credits' })
  declare detail: string;

  @ApiProperty({ description: 'The same as detail', example: 'Insufficient credits' })
  declare message: string;

  @ApiProperty({
    description: '`credits.insufficient`: the balance is too low; `budget.exceeded`: a budget of credits is',
    example: 'credits.insufficient',
  })
  declare code: string;

  @ApiProperty({ ...REQUIRED, required: true }) requiredCredits: number;
  @ApiProperty({ ...AVAILABLE, required: true }) availableCredits: number;
  @ApiProperty(AFFORDABLE) maxAffordableTokens?: number;
  @ApiProperty(LIMITS) limits?: LimitDto[];
}

/** 429: the caller's rate, or a limit of tokens, requests or sessions (`limit.exceeded`), which the other members are for. */
export class RateProblemDto extends ProblemDto {
  @ApiProperty(REQUIRED) requiredCredits?: number;
  @ApiProperty(AVAILABLE) availableCredits?: number;
  @ApiProperty(AFFORDABLE) maxAffordableTokens?: number;
  @ApiProperty(LIMITS) limits?: LimitDto[];
}

/** An error with the name of its example in the document. */
export type NamedProblem = [name: string, error: ServiceError];

/** @param problem a class, or an instance where the text differs from route to route */
export function named(problem: ProblemClass | ServiceError): NamedProblem {
  if (problem instanceof ServiceError) {
    const { constructor, details, message } = problem;
    const text = details.errors?.[0]?.field ?? message;
    return [`${constructor.name}.${text.replace(/\W+/g, '-')}`, problem];
  }
  return [problem.name, 'example' in problem ? problem.example : new problem()];
}

const EXTENSION = 'x-problem-';

/** Names errors that a route may answer, beside those that any route of its form may (`describeProblems`). */
export function ApiProblems(...problems: (ProblemClass | ServiceError)[]): MethodDecorator & ClassDecorator {
  return applyDecorators(
    ApiExtraModels(ProblemDto, InsufficientCreditsDto, RateProblemDto),
    ...problems.map(named).map(([name, error]) => ApiExtension(EXTENSION + name, [error])),
  );
}

/** The errors that the decorators of an operation name, which are not for the document in this form. */
export function takeProblems(operation: object): NamedProblem[] {
  const extensions = operation as Record<string, [ServiceError]>;
  const keys = Object.keys(extensions).filter((key) => key.startsWith(EXTENSION));
  return keys.map((key) => {
    const [error] = extensions[key] as [ServiceError];
    delete extensions[key];
    return [key.slice(EXTENSION.length), error];
  });
}
