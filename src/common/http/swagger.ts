import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { Express, Request, RequestHandler } from 'express';
import { IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED } from './idempotency.js';
import { addExamples } from './openapi-examples.js';
import { describeProblems } from './openapi-problems.js';
import { closeRequests, refineSchemas } from './openapi-schemas.js';
import { ID_PATTERN, ORGANISATION_ID, USER_ID_LENGTH } from './text.js';

type OperationObject = NonNullable<OpenAPIObject['paths'][string]['get']>;

const TAGS: Record<string, string> = {
  Accounts: 'Accounts and their credits.',
  Credits: 'Balances, allocations, and the ledger of every change.',
  'Streaming sessions': 'Hold credits when a stream starts, and settle the cost when it ends.',
  Budgets: 'Limits on what an account, its members, keys, models or tags spend.',
  Organisations: 'Accounts that several people spend from, their members and units.',
  Usage: 'Usage records and statistics.',
  'API keys': 'Keys for users’ programs, each with its own permissions, expiry and credit limit.',
  Pricing: 'Prices of models, and when they apply.',
  Integrations: 'Usage reports from gateways.',
  Activity: 'What people and programs changed.',
  Search: 'What a person may see, found by any word of it.',
  Events: 'Events, in pages and as a live stream.',
  Webhooks: 'Endpoints that receive events, signed according to the Standard Webhooks specification.',
  Alerts: 'Rules by which people get events by e-mail or in Slack.',
  Health: 'Liveness, readiness and metrics.',
};

const REPLAYED = {
  description: 'Whether this is an earlier response again, which its `Idempotency-Key` had',
  schema: { type: 'boolean' },
} as const;

/** Where `npm start` listens; those who generate a client set the address of their own service. */
const DEVELOPMENT_SERVER = 'http://localhost:3001';

/**
 * The OpenAPI document, made from the decorators.
 *
 * @param server where its paths are
 */
export function createDocument(
  app: INestApplication,
  version: string,
  server = DEVELOPMENT_SERVER,
): OpenAPIObject {
  const builder = new DocumentBuilder()
    .setTitle('LLM accounting service')
    .setVersion(version)
    .setDescription(
      'Prepaid credits, holds for streaming sessions, usage and prices for an LLM platform. Credits are integers. ' +
        'Fields whose names begin with `providerCost` are null for users and API keys, unless the operator shows them. ' +
        'Prices and USD amounts are decimal strings in responses. Times are ISO 8601 in UTC; a time without a zone in a request is UTC. ' +
        'An optional field may be null, which means the same as omitting it unless its description says otherwise. ' +
        'Errors are `application/problem+json` with a stable `code`.\n\n' +
        'Later versions may add fields to responses, codes of errors, types of events, and values that come with a new ' +
        'feature. The meaning of a field or a code never changes, and a request that is valid today stays valid. A client ' +
        'handles an unknown code by its status, and names the event types that it wants.',
    )
    .addServer(server)
    .addBearerAuth({
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'Access token issued by the authentication service',
    })
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: 'X-API-Key',
        description: 'API key of a user, limited to its permissions',
      },
      'api-key',
    )
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: 'X-Internal-API-Key',
        description:
          'Key of a trusted service, which names the user in `userId` or forwards the user’s access token in ' +
          'addition',
      },
      'internal',
    );
  for (const [name, description] of Object.entries(TAGS)) builder.addTag(name, description);
  const document = SwaggerModule.createDocument(app, builder.build());
  document.openapi = '3.0.3';
  document.paths = withPlainParameters(document.paths);
  const operations = operationsOf(document.paths);
  for (const [, operation] of operations) {
    // Said, not left out: open to everyone on purpose.
    operation.security ??= [];
    describePathParameters(operation);
    describeBody(operation, document);
    describeAnswers(operation);
    describeCallbacks(operation);
  }
  describeProblems(document, operations);
  closeRequests(document, operations);
  refineSchemas(document.components?.schemas ?? {});
  addExamples(document);
  return document;
}

/** Express writes the rest of a path as `*id`; in the document it is an ordinary parameter, beside `:id`. */
function withPlainParameters(paths: OpenAPIObject['paths']): OpenAPIObject['paths'] {
  const plain: OpenAPIObject['paths'] = {};
  for (const [path, item] of Object.entries(paths)) {
    const name = path.replace(/\{?\*(\w+)\}?/g, '{$1}');
    plain[name] = { ...plain[name], ...item };
  }
  return plain;
}

function operationsOf(paths: OpenAPIObject['paths']): [method: string, OperationObject][] {
  return Object.values(paths).flatMap((item) =>
    (['get', 'post', 'put', 'patch', 'delete'] as const).flatMap((method): [string, OperationObject][] => {
      const operation = item[method];
      return operation === undefined ? [] : [[method, operation]];
    }),
  );
}

/** What the pipes of the path take; the decorators only know numbers from texts. */
function describePathParameters(operation: OperationObject): void {
  for (const parameter of operation.parameters ?? []) {
    if ('$ref' in parameter || parameter.in !== 'path') continue;
    const schema = parameter.schema ?? {};
    if (parameter.name === 'userId')
      parameter.schema = { type: 'string', minLength: 1, maxLength: USER_ID_LENGTH, pattern: ID_PATTERN };
    // Of the ids of rows, only those of organisations are texts.
    else if (!('type' in schema) || (schema.type === 'string' && schema.maxLength === undefined))
      parameter.schema = { type: 'string', maxLength: USER_ID_LENGTH, pattern: ORGANISATION_ID.source };
    else if (schema.type === 'number') {
      parameter.schema = { type: 'integer', format: 'int64', minimum: 1, maximum: Number.MAX_SAFE_INTEGER };
    }
  }
}

const LINES = 'application/x-ndjson';

/** A body of which no field is required may be left out altogether. No schema describes the JSON values of several lines. */
function describeBody({ requestBody }: OperationObject, { components }: OpenAPIObject): void {
  if (requestBody === undefined || '$ref' in requestBody) return;
  const schema = requestBody.content['application/json']?.schema;
  if (LINES in requestBody.content && schema && !('$ref' in schema)) {
    const lines = (schema.example as unknown[]).map((value) => `${JSON.stringify(value)}\n`);
    requestBody.content[LINES] = { schema: { type: 'string' }, example: lines.join('') };
  }
  const named =
    schema && '$ref' in schema ? components?.schemas?.[schema.$ref.split('/').at(-1) as string] : undefined;
  if (named && !('$ref' in named) && (named.required ?? []).length === 0) requestBody.required = false;
}

/** What this service sends to others is signed, and shows them no credentials. */
function describeCallbacks({ operationId, tags, callbacks = {} }: OperationObject): void {
  for (const [name, callback] of Object.entries(callbacks)) {
    if ('$ref' in callback) continue;
    for (const item of Object.values(callback)) {
      for (const [, sent] of operationsOf({ '': item })) {
        sent.operationId = `${operationId}_${name}`;
        sent.summary ??= 'Delivers an event to the URL of the endpoint';
        sent.description ??=
          'At least once, and for each user in order. A receiver ignores a `webhook-id` that it has.';
        sent.tags = tags;
        sent.security = [];
      }
    }
  }
}

function describeAnswers({ responses, parameters = [] }: OperationObject): void {
  const isIdempotent = parameters.some(
    (parameter) => 'name' in parameter && parameter.name === IDEMPOTENCY_KEY,
  );
  for (const answer of Object.values(responses)) {
    if (answer === undefined || !('description' in answer)) continue;
    answer.description ||= 'Done';
    if (isIdempotent) answer.headers = { [IDEMPOTENCY_REPLAYED]: REPLAYED };
  }
}

/** The first document is given to all: Nest writes the whole document anew for each request, which takes up to 40 ms. */
function answerOnce(): RequestHandler {
  let first: { type: string; body: Buffer } | undefined;
  return (_, response, next) => {
    if (first !== undefined) {
      response.type(first.type).send(first.body);
      return;
    }
    const send = response.send.bind(response);
    response.send = (body: unknown) => {
      if (response.statusCode === 200)
        first = { type: String(response.getHeader('content-type')), body: Buffer.from(String(body)) };
      response.send = send;
      return send(body);
    };
    next();
  };
}

/**
 * Swagger UI at `/api/docs`, the document at `/api/docs-json`; its scripts are files of this server, as the CSP asks.
 *
 * @param count counts a request for one of them, and throws where there are too many
 */
export function setUpSwagger(
  app: INestApplication,
  version: string,
  count: (request: Request) => Promise<void>,
): void {
  const express = app.getHttpAdapter().getInstance() as Express;
  const documents = ['/api/docs-json', '/api/docs-yaml'];
  express.use(
    ['/api/docs', ...documents],
    (request, _response, next) => void count(request).then(() => next(), next),
  );
  for (const path of documents) express.get(path, answerOnce());
  // Relative to where the document is.
  SwaggerModule.setup('api/docs', app, () => createDocument(app, version, '/'), {
    jsonDocumentUrl: 'api/docs-json',
    yamlDocumentUrl: 'api/docs-yaml',
    customSiteTitle: 'LLM accounting service',
    swaggerOptions: { persistAuthorization: true, displayRequestDuration: true, tryItOutEnabled: true },
  });
}
