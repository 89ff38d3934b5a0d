import type { OpenAPIObject } from '@nestjs/swagger';

type Schemas = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>;
type Schema = Schemas[string];
type Content = Record<string, { schema?: Schema; example?: unknown; examples?: object }>;

/** Gives every body of the document that has no example one, put together from its fields' examples. */
export function addExamples(document: OpenAPIObject): void {
  const schemas = document.components?.schemas ?? {};
  for (const item of Object.values(document.paths)) {
    for (const operation of [item.get, item.post, item.put, item.patch, item.delete]) {
      if (operation === undefined) continue;
      const bodies = [operation.requestBody, ...Object.values(operation.responses)];
      for (const body of bodies) addToContent((body as { content?: Content } | undefined)?.content, schemas);
    }
  }
}

function addToContent(content: Content | undefined, schemas: Schemas): void {
  for (const media of Object.values(content ?? {})) {
    // A body has one example or several of its own, never both.
    if (media.schema !== undefined && media.examples === undefined)
      media.example ??= exampleOf(media.schema, schemas);
  }
}

/** The example of a schema; undefined when an optional field has none, and is then left out. */
function exampleOf(schema: Schema, schemas: Schemas, isField = false): unknown {
  if ('$ref' in schema) {
    return exampleOf(schemas[schema.$ref.split('/').at(-1) as string] as Schema, schemas, isField);
  }
  if (schema.example !== undefined) return schema.example as unknown;
  if (schema.type === 'array') return schema.items ? [exampleOf(schema.items, schemas)] : [];
  if (schema.properties === undefined) {
    const alternative = schema.allOf?.[0] ?? schema.oneOf?.[0] ?? schema.anyOf?.[0];
    return alternative && exampleOf(alternative, schemas, isField);
  }
  const fields = Object.entries(schema.properties).map(([name, field]) => [
    name,
    exampleOf(field, schemas, true),
  ]);
  const shown = fields.filter(([, example]) => example !== undefined);
  return shown.length === 0 && isField ? undefined : Object.fromEntries(shown);
}
