import { expect } from 'vitest';
import type { TestService } from './service.js';

export interface Parameter {
  in: 'path' | 'query' | 'header';
  name: string;
  required?: boolean;
  schema: Property;
}

export interface Property {
  type?: string;
  example?: unknown;
}

/** An operation as the running service documents it. */
export interface DocumentedOperation {
  operationId: string;
  method: string;
  path: string;
  parameters: Parameter[];
  /** Fields of the body; undefined when there is none. */
  body: { properties: Record<string, Property>; required: string[] } | undefined;
  security: Record<string, string[]>[];
}

interface OpenApi {
  paths: Record<
    string,
    Record<
      string,
      {
        operationId: string;
        parameters?: Parameter[];
        requestBody?: { content: Record<string, { schema: { $ref?: string } }> };
        security?: Record<string, string[]>[];
      }
    >
  >;
  components: {
    schemas: Record<string, { properties?: Record<string, Property>; required?: string[] }>;
  };
}

/** Every operation of `/api/docs-json`, by its id. */
export async function documentedOperations(service: TestService): Promise<Map<string, DocumentedOperation>> {
  const { status, body: document } = await service.anonymous().get<OpenApi>('/api/docs-json');
  expect(status).toBe(200);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): DocumentedOperation => {
      const schemaName = operation.requestBody?.content['application/json']?.schema.$ref?.split('/').pop();
      const schema = schemaName === undefined ? undefined : document.components.schemas[schemaName];
      return {
        operationId: operation.operationId,
        method: method.toUpperCase(),
        path,
        parameters: operation.parameters ?? [],
        body: schema && { properties: schema.properties ?? {}, required: schema.required ?? [] },
        security: operation.security ?? [],
      };
    }),
  );
  const byId = new Map(operations.map((operation) => [operation.operationId, operation]));
  expect(byId.size, 'operation ids are unique').toBe(operations.length);
  return byId;
}

/** What a caller must send at least, by the document's examples; undefined for an operation without a body. */
export function exampleBody({ body }: DocumentedOperation): Record<string, unknown> | undefined {
  if (body === undefined) return undefined;
  return Object.fromEntries(body.required.map((name) => [name, body.properties[name]?.example]));
}

/** The path with its parameters filled in, and behind it the query, with the document's examples of what it must have. */
export function pathWith(
  operation: DocumentedOperation,
  parameters: Record<string, string> = {},
  query: Record<string, string> = {},
): string {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name];
    if (value === undefined) throw new Error(`${operation.operationId} needs the path parameter ${name}`);
    return encodeURIComponent(value);
  });
  const needed = operation.parameters
    .filter((parameter) => parameter.in === 'query' && parameter.required && !(parameter.name in query))
    .map(({ name, schema }): [string, string] => [name, String(schema.example)]);
  const search = new URLSearchParams([...needed, ...Object.entries(query)]).toString();
  return search === '' ? path : `${path}?${search}`;
}
