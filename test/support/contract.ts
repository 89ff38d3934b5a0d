import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';

interface Operation {
  operationId: string;
  responses: Record<string, { content?: Record<string, Media> }>;
}
interface Media {
  schema?: object;
  examples?: Record<string, { $ref: string }>;
}
interface Property {
  type?: string;
  nullable?: boolean;
  allOf?: object[];
  anyOf?: object[];
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, { properties?: Record<string, Property>; additionalProperties?: unknown }>;
    examples: Record<string, { value: { code: string } }>;
  };
}

const document = JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')) as Document;
for (const schema of Object.values(document.components.schemas)) {
  // A member that the document does not know is a member that clients do not know.
  if (schema.properties) schema.additionalProperties ??= false;
  for (const property of Object.values(schema.properties ?? {})) allowNull(property);
}

/** `nullable` beside `allOf` means what generators of clients take it for: null, or what is referred to. */
function allowNull(property: Property): void {
  if (!property.nullable || !property.allOf) return;
  property.anyOf = [...property.allOf, { type: 'object', nullable: true, enum: [null] }];
  for (const key of ['type', 'nullable', 'allOf'] as const) delete property[key];
}

const ajv = new Ajv({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addFormat('int64', { type: 'number', validate: Number.isSafeInteger });
ajv.addSchema(document, 'openapi');

/** Literal segments before parameters, as a router would choose. */
const routes = Object.keys(document.paths)
  .map((path) => ({ path, parameters: (path.match(/\{/g) ?? []).length }))
  .sort((a, b) => a.parameters - b.parameters);

/** Whether a method and path are in the document at all. */
export function operationOf(method: string, url: string): { path: string; operation: Operation } | undefined {
  // A service sees neither the query nor a fragment in the path.
  // Beside a fragment a backslash counts as a slash.
  const path = url.split(/[?#]/)[0] as string;
  const slashed = url.includes('#') ? path.replaceAll('\\', '/') : path;
  // Nor does it see a slash at the end, which the rest of a path could be taken to have.
  const pathname = slashed.replace(/(?<=.)\/$/, '');
  for (const route of routes) {
    const operation = document.paths[route.path]?.[method.toLowerCase()];
    if (patternOf(route.path, method).test(pathname) && operation) return { path: route.path, operation };
  }
  return undefined;
}

/** Why a value is not what the schema at a JSON pointer of the document asks for; undefined when it is. */
export function problemWith(value: unknown, parts: readonly string[]): string | undefined {
  const validate = validatorOf(parts);
  return validate(value) ? undefined : ajv.errorsText(validate.errors);
}

const validators = new Map<string, ValidateFunction>();

/**
 * Every answer that any test gets is held against the committed OpenAPI document: its status, and the code of an error,
 * must be documented for the operation, and its body must be of the documented form.
 */
export function assertDocumented(
  method: string,
  url: string,
  status: number,
  type: string,
  body: unknown,
): void {
  const found = operationOf(method, url);
  if (found === undefined) return;
  const answer = found.operation.responses[String(status)];
  const where = `${method} ${found.path} answered ${status}`;
  if (answer === undefined)
    throw new Error(`${where}, which openapi.json does not know: ${JSON.stringify(body)}`);
  const media = type.split(';')[0] as string;
  if (answer.content === undefined) return;
  if (!(media in answer.content)) throw new Error(`${where} with ${media}, which openapi.json does not know`);
  if (!media.includes('json')) return;
  const response = ['paths', found.path, method.toLowerCase(), 'responses', String(status)];
  const problem = problemWith(body, [...response, 'content', media, 'schema']);
  if (problem !== undefined) throw new Error(`${where} in another form than openapi.json has: ${problem}`);
  const { code } = body as { code?: string };
  if (status >= 400 && !codesOf(answer.content[media] as Media).includes(code as string)) {
    throw new Error(`${where} with ${code}, which openapi.json does not list for it`);
  }
}

/** The codes that an answer may have: those of its examples. */
function codesOf({ examples = {} }: Media): string[] {
  return Object.values(examples).map(({ $ref }) => exampleAt($ref).value.code);
}

const exampleAt = (reference: string) =>
  document.components.examples[reference.split('/').at(-1) as string] as { value: { code: string } };

function validatorOf(parts: readonly string[]): ValidateFunction {
  const reference = `openapi#/${parts.map(pointerPart).join('/')}`;
  let validate = validators.get(reference);
  if (validate === undefined) {
    validate = ajv.compile({ $ref: reference });
    validators.set(reference, validate);
  }
  return validate;
}

/** RFC 6901, inside a URI fragment. */
function pointerPart(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}

function patternOf(path: string, method: string): RegExp {
  const escaped = path.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
  // A model id may hold slashes; the id of a rule, under the same path, may not.
  return new RegExp(
    `^${escaped.replace(/\{\w+\}/g, method === 'GET' && path.includes('/pricing/') ? '.+' : '[^/]+')}$`,
  );
}
