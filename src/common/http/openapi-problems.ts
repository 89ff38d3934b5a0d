import { getSchemaPath, type OpenAPIObject } from '@nestjs/swagger';
import {
  InternalError,
  LargeBodyTooLarge,
  MalformedPath,
  MalformedRequest,
  RequestTooLarge,
  UnsupportedMediaType,
} from '../errors/request-errors.js';
import { type ProblemClass, type ServiceError, ValidationError } from '../errors/service-error.js';
import {
  InsufficientCreditsDto,
  named,
  type NamedProblem,
  ProblemDto,
  RateProblemDto,
  takeProblems,
} from './problem.dto.js';
import { problemOf } from './problem.filter.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

/** What a caller should know beside the texts of the errors. */
const DESCRIPTIONS: Record<number, string> = {
  400: 'The request is invalid; `errors` lists the invalid fields',
  401: 'Credentials are missing or invalid',
  402: 'The balance or a budget does not cover it; nothing was changed',
  403: 'The caller is not allowed to do this',
  404: 'Not found, or not visible to the caller',
  409: 'The request conflicts with the current state; nothing was changed',
  413: 'The body is too large',
  415: 'The media type or the encoding of the body is not supported',
  422: 'The request is valid, but cannot be carried out',
  429: 'Too many requests; retry after `Retry-After` seconds',
  500: 'Internal error; the log contains the details under `requestId`',
  502: 'The request to the gateway failed; no key was created',
  503: 'Temporarily unavailable; nothing was done in part; retry after `Retry-After` seconds',
};
const REQUEST_ID = '5f0c7e8e-8a55-4c66-9d6e-6f2a4f1c0b7d';
const RETRY_AFTER = {
  description: 'Seconds to wait before a retry',
  schema: { type: 'integer', format: 'int64', minimum: 1 },
} as const;

/**
 * Describes every error that an operation can answer, each with an example: those that its decorators name, and those
 * that come with its form. The operations refer to the examples by the names of the classes.
 */
export function describeProblems(document: OpenAPIObject, operations: [method: string, Operation][]): void {
  const described = new Map<string, ServiceError>();
  for (const [method, operation] of operations) {
    const problems = new Map([...takeProblems(operation), ...problemsOfForm(method, operation).map(named)]);
    if (problems.has(LargeBodyTooLarge.name)) problems.delete(RequestTooLarge.name);
    for (const [name, error] of problems) described.set(name, error);
    for (const { status } of problems.values()) {
      const ofStatus = [...problems].filter(([, error]) => error.status === status);
      operation.responses[String(status)] = responseOf(status, ofStatus);
    }
  }
  document.components ??= {};
  document.components.headers = { RetryAfter: RETRY_AFTER };
  document.components.examples = Object.fromEntries(
    [...described]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, error]) => [
        name,
        { summary: `${error.code}: ${error.message}`, value: problemOf(error, REQUEST_ID) },
      ]),
  );
}

/** What an operation can answer because it takes parameters or a body. A body is read also where none is asked for. */
function problemsOfForm(method: string, { parameters = [] }: Operation): ProblemClass[] {
  const hasBody = ['post', 'put', 'patch'].includes(method);
  const hasPath = parameters.some((parameter) => 'in' in parameter && parameter.in === 'path');
  return [
    ...(hasBody || parameters.length > 0 ? [ValidationError] : []),
    ...(hasPath ? [MalformedPath] : []),
    ...(hasBody ? [MalformedRequest, RequestTooLarge, UnsupportedMediaType] : []),
    InternalError,
  ];
}

function schemaOf(status: number, problems: NamedProblem[]) {
  if (status === 402) return InsufficientCreditsDto;
  return problems.some(([, { details }]) => details.members !== undefined) ? RateProblemDto : ProblemDto;
}

function responseOf(status: number, problems: NamedProblem[]) {
  const waits = problems.some(([, { details }]) => details.retryAfterSeconds !== undefined);
  const examples = problems.map(([name]) => [name, { $ref: `#/components/examples/${name}` }] as const);
  return {
    description: DESCRIPTIONS[status] ?? 'Refused',
    ...(waits ? { headers: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } } } : {}),
    content: {
      'application/problem+json': {
        schema: { $ref: getSchemaPath(schemaOf(status, problems)) },
        examples: Object.fromEntries(examples),
      },
    },
  };
}
