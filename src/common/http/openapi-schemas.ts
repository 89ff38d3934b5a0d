import { getSchemaPath, type OpenAPIObject } from '@nestjs/swagger';

type Schema = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string];

/** Says what the decorators cannot say in OpenAPI 3.0. */
export function refineSchemas(schemas: Record<string, Schema>): void {
  for (const schema of Object.values(schemas)) {
    if ('$ref' in schema) continue;
    // The description is that of the first field that has the type.
    if (schema.enum) delete schema.description;
    for (const property of Object.values(schema.properties ?? {})) describeNull(property, schemas);
    describeForms(schema);
  }
  for (const [name, schema] of Object.entries(schemas)) describeVariants(schemas, name, schema);
}

/** Where the decorators leave, at a field, the schema that it has for each value of `type` beside it, by its name. */
export const BY_TYPE = 'x-by-type';

/** One schema for each type, and the name of all for any of them: a client that looks at `type` knows the rest. */
function describeVariants(schemas: Record<string, Schema>, name: string, schema: Schema): void {
  if ('$ref' in schema) return;
  const [varied] = Object.entries(schema.properties ?? {}).filter(([, property]) => BY_TYPE in property);
  if (varied === undefined) return;
  const byType = (varied[1] as { [BY_TYPE]: Record<string, string> })[BY_TYPE];
  const mapping = mapOf(Object.keys(byType), (type) => {
    const variant = `${type.replace(/(?:^|[._])(\w)/g, (_, letter: string) => letter.toUpperCase())}${name}`;
    const own = {
      type: { type: 'string', enum: [type], example: type },
      [varied[0]]: { $ref: getSchemaPath(byType[type] as string) },
    };
    schemas[variant] = { ...schema, properties: { ...schema.properties, ...own } };
    return getSchemaPath(variant);
  });
  schemas[name] = {
    description: schema.description,
    oneOf: Object.values(mapping).map(($ref) => ({ $ref })),
    discriminator: { propertyName: 'type', mapping },
  };
}

/** Generators of clients read null beside `allOf`, and OpenAPI 3.0.3 reads it only beside a type. */
function describeNull(property: Schema, schemas: Record<string, Schema>): void {
  if ('$ref' in property || !property.nullable || !property.allOf) return;
  const [reference] = property.allOf;
  property.type = reference && typeOf(schemas[nameIn(reference)]);
}

/** The name of the schema that is referred to. */
const nameIn = (reference: Schema) => ('$ref' in reference ? (reference.$ref.split('/').at(-1) ?? '') : '');

/** Fields that a body may have together. */
export interface Form {
  readonly required: readonly string[];
  readonly optional?: readonly string[];
}

export const fieldsOf = ({ required, optional = [] }: Form) => [...required, ...optional];

/** Where the decorators leave the forms of which a body has one and nothing of another. */
export const FORMS = 'x-forms';

function describeForms(schema: Exclude<Schema, { $ref: string }> & { [FORMS]?: readonly Form[] }): void {
  const { [FORMS]: forms, properties = {} } = schema;
  if (forms === undefined) return;
  delete schema[FORMS];
  schema.oneOf = forms.map((form) => ({
    type: 'object',
    required: [...form.required],
    properties: {
      // Generators of clients only take a field for required where the form itself has it.
      ...mapOf(form.required, (name) => ({ type: typeOf(properties[name]) })),
      ...mapOf(
        forms.flatMap(fieldsOf).filter((name) => !fieldsOf(form).includes(name)),
        () => ({ not: {} }),
      ),
    },
  }));
}

const mapOf = <T>(names: readonly string[], valueOf: (name: string) => T): Record<string, T> =>
  Object.fromEntries(names.map((name) => [name, valueOf(name)]));

const typeOf = (schema: Schema | undefined) => (schema && 'type' in schema ? schema.type : undefined);
