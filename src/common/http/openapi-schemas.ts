import { getSchemaPath, type OpenAPIObject } from '@nestjs/swagger';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Schema = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string];

/** Says what the decorators cannot say in OpenAPI 3.0. */
export function refineSchemas(schemas: Record<string, Schema>): void {
  for (const schema of Object.values(schemas)) {
    if ('$ref' in schema) continue;
    // The description is that of the first field that has the type.
    if (schema.enum) delete schema.description;
    for (const property of Object.values(schema.properties ?? {})) describeNull(property);
    describeForms(schema);
  }
  for (const [name, schema] of Object.entries(schemas)) describeVariants(schemas, name, schema);
}

/** Where the decorators leave, at a field, the schema that it has for each value of `type` beside it, by its name. */
export const BY_TYPE = 'x-by-type';

/**
 * One schema for each type, and the name of all for any of them: a client that looks at `type` knows the rest. Without a
 * discriminator object: clients that are generated for Rust would then not find `type` in any of them.
 */
function describeVariants(schemas: Record<string, Schema>, name: string, schema: Schema): void {
  if ('$ref' in schema) return;
  const [varied] = Object.entries(schema.properties ?? {}).filter(([, property]) => BY_TYPE in property);
  if (varied === undefined) return;
  const byType = (varied[1] as { [BY_TYPE]: Record<string, string> })[BY_TYPE];
  const variants = Object.keys(byType).map((type) => {
    const variant = `${type.replace(/(?:^|[._])(\w)/g, (_, letter: string) => letter.toUpperCase())}${name}`;
    const own = {
      type: { type: 'string', enum: [type], example: type },
      [varied[0]]: { $ref: getSchemaPath(byType[type] as string) },
    };
    schemas[variant] = { ...schema, properties: { ...schema.properties, ...own } };
    return { $ref: getSchemaPath(variant) };
  });
  schemas[name] = { description: schema.description, oneOf: variants };
}

/** Generators of clients read null beside `allOf`, but that for Python only where there is no type as well. */
function describeNull(property: Schema): void {
  if (!('$ref' in property) && property.nullable && property.allOf) delete property.type;
}

/** The name of the schema that is referred to. */
const nameIn = (reference: Schema): string =>
  '$ref' in reference ? (reference.$ref.split('/').at(-1) ?? '') : '';

/** Fields that a body may have together. */
export interface Form {
  readonly required: readonly string[];
  readonly optional?: readonly string[];
}

export const fieldsOf = ({ required, optional = [] }: Form) => [...required, ...optional];

/** Marks a request in a form of others, which may have more fields than are described here. */
export const FOREIGN = 'x-foreign';

/** Requests with a field that is not described are refused; responses may get further fields in later versions. */
export function closeRequests(document: OpenAPIObject, operations: [method: string, Operation][]): void {
  const schemas = document.components?.schemas ?? {};
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const name = nameIn(value);
    if (name in schemas && !names.has(name)) {
      names.add(name);
      visit(schemas[name]);
    }
    Object.values(value).forEach(visit);
  };
  for (const [, { requestBody }] of operations) visit(requestBody);
  for (const name of names) {
    const schema = schemas[name] as Exclude<Schema, { $ref: string }> & { [FOREIGN]?: boolean };
    if (schema.properties) schema.additionalProperties = schema[FOREIGN] ?? false;
    delete schema[FOREIGN];
  }
}

/** Where the decorators leave the forms of which a body has one and nothing of another. */
export const FORMS = 'x-forms';

/** In words: generators of clients drop the other fields of a schema that has alternatives. */
function describeForms(schema: Exclude<Schema, { $ref: string }> & { [FORMS]?: readonly Form[] }): void {
  const { [FORMS]: forms } = schema;
  if (forms === undefined) return;
  delete schema[FORMS];
  const alternatives = forms.map(({ required }) => required.map((name) => `\`${name}\``).join(' and '));
  schema.description = `Has exactly one of these: ${alternatives.join('; ')}`;
}
