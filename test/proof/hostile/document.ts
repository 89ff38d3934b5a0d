import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

export interface Schema {
  $ref?: string;
  type?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  enum?: string[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  required?: string[];
  example?: unknown;
  additionalProperties?: unknown;
}

export interface Parameter {
  in: 'path' | 'query' | 'header';
  name: string;
  required?: boolean;
  schema: Schema;
  example?: unknown;
}

export interface Operation {
  id: string;
  method: string;
  path: string;
  parameters: Parameter[];
  /** Absent where the operation takes none. */
  body?: {
    /** What the document says of its fields; empty for bodies of the callers' own form. */
    properties: Record<string, Schema>;
    required: string[];
    examples: unknown[];
    allows: (value: unknown) => boolean;
  };
  /** Names of the security schemes of which one is enough; none: open to everyone. */
  security: string[];
}

interface Media {
  schema: Schema;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

interface OpenApi {
  paths: Record<
    string,
    Record<
      string,
      {
        operationId: string;
        parameters?: Parameter[];
        requestBody?: { content: Record<string, Media> };
        security: Record<string, unknown>[];
      }
    >
  >;
  components: { schemas: Record<string, Schema> };
}

const document = JSON.parse(
  readFileSync(new URL('../../../openapi.json', import.meta.url), 'utf8'),
) as OpenApi;
// Formats are left to the service, which takes some texts that RFC 3339 and RFC 5321 do not.
const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema(document, 'openapi');

/** Every operation of openapi.json. */
export function operationsOfDocument(): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const media = operation.requestBody?.content['application/json'];
      return {
        id: operation.operationId,
        method: method.toUpperCase(),
        path,
        parameters: (operation.parameters ?? []).map((parameter) => ({
          ...parameter,
          schema: resolved(parameter.schema),
        })),
        ...(media ? { body: bodyOf(media) } : {}),
        security: operation.security.flatMap((scheme) => Object.keys(scheme)),
      };
    }),
  );
}

function bodyOf(media: Media): Operation['body'] {
  const name = media.schema.$ref?.split('/').at(-1);
  const examples =
    media.examples === undefined ? [media.example] : Object.values(media.examples).map(({ value }) => value);
  // A body whose form is the caller's own is read leniently: what is not understood in it is reported in the answer.
  if (name === undefined) return { properties: {}, required: [], examples, allows: () => true };
  const { properties: fields = {}, required = [] } = document.components.schemas[name] as Schema;
  const properties = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, resolved(field)]));
  const validate: ValidateFunction = ajv.compile({ $ref: `openapi#/components/schemas/${name}` });
  // As the document's text says: null in an optional field counts as left out.
  const isLeftOut = (name: string, value: unknown) =>
    value === null && !required.includes(name) && name in properties;
  const allows = (value: unknown) =>
    validate(
      isObject(value)
        ? Object.fromEntries(Object.entries(value).filter(([name, member]) => !isLeftOut(name, member)))
        : value,
    );
  return { properties, required, examples, allows };
}

/** A schema with what it refers to. */
function resolved(schema: Schema): Schema {
  const reference = schema.$ref ?? schema.allOf?.[0]?.$ref;
  if (schema.items) return { ...schema, items: resolved(schema.items) };
  return { ...document.components.schemas[reference?.split('/').at(-1) ?? ''], ...schema };
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether the document allows a query parameter with these values. */
export function allowsQuery({ schema }: Parameter, values: readonly string[]): boolean {
  const [value] = values;
  if (value === undefined) return true;
  if (values.length > 1) return false;
  const { type, minimum = -Infinity, maximum = Infinity, minLength = 0, maxLength = Infinity } = schema;
  if (type === 'integer') return /^\d+$/.test(value) && Number(value) >= minimum && Number(value) <= maximum;
  if (type === 'boolean') return value === 'true' || value === 'false';
  const length = [...value].length;
  if (length < minLength || length > maxLength) return false;
  return schema.pattern === undefined || new RegExp(schema.pattern, 'u').test(value);
}
