import { readFileSync } from 'node:fs';

/** @typedef {{ page: string, title: string, description: string }} Params */

const document = JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8'));
const { schemas, examples, securitySchemes } = document.components;

const slug = (text) => text.toLowerCase().replaceAll(' ', '-');
const nameOf = ({ $ref }) => $ref.split('/').at(-1);
/** Of a text in a cell of a table. */
const cell = (text = '') => text.replaceAll('|', '\\|').replaceAll('\n', '<br>');
/** Vue takes two braces for code of its own; the document has angle brackets for placeholders. */
const prose = (text = '') => text.replaceAll('<', '&lt;').replaceAll('{{', '&#123;&#123;');

function typeOf(schema) {
  if (schema.$ref) return `[${nameOf(schema)}](./schemas#${nameOf(schema).toLowerCase()})`;
  if (schema.allOf) return schema.allOf.map(typeOf).join(' and ');
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (alternatives) return alternatives.map(typeOf).join(' or ');
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object')
    return `map of ${typeOf(schema.additionalProperties)}`;
  return [schema.type ?? 'any', schema.format].filter(Boolean).join(', ');
}

const LIMITS = {
  minimum: 'at least',
  maximum: 'at most',
  minLength: 'length at least',
  maxLength: 'length at most',
  minItems: 'at least this many entries:',
  maxItems: 'at most this many entries:',
  default: 'default',
};

/** What a field means, and what it may be. */
function meaningOf(schema, description = schema.description) {
  const limits = Object.entries(LIMITS)
    .filter(([name]) => schema[name] !== undefined)
    .map(([name, words]) => `${words} ${schema[name]}`);
  if (schema.nullable) limits.push('may be null');
  return [prose(description), limits.length > 0 ? `(${limits.join('; ')})` : ''].filter(Boolean).join(' ');
}

function table(head, rows) {
  if (rows.length === 0) return '';
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function fieldsOf({ properties = {}, required = [] }) {
  return table(
    ['Field', 'Type', 'Required', 'Meaning'],
    Object.entries(properties).map(([name, schema]) => [
      `\`${name}\``,
      cell(typeOf(schema)),
      required.includes(name) ? 'yes' : '',
      cell(meaningOf(schema)),
    ]),
  );
}

const json = (value) => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;

function exampleOf({ example, examples: named = {} }) {
  if (example !== undefined) return json(example);
  return Object.entries(named)
    .map(([name, { $ref, value, summary }]) => ($ref ? '' : `${prose(summary ?? name)}:\n\n${json(value)}`))
    .join('\n\n');
}

function bodyOf(content) {
  return Object.entries(content).flatMap(([type, media]) => [
    `\`${type}\`: ${typeOf(media.schema)}`,
    exampleOf(media),
  ]);
}

/** The codes of an error answer, each with a link to its cause and cure. */
function codesOf(content) {
  const named = Object.values(content['application/problem+json']?.examples ?? {});
  const codes = new Set(named.map((reference) => examples[nameOf(reference)].value.code));
  return [...codes].map((code) => `[\`${code}\`](../errors.md#${code.replaceAll(/[._]/g, '-')})`).join(', ');
}

function operationText(method, path, operation) {
  const {
    summary,
    description,
    parameters = [],
    requestBody,
    responses,
    security = [],
    operationId,
  } = operation;
  const callers = security.flatMap((each) => Object.keys(each)).map((name) => `\`${name}\``);
  const answers = Object.entries(responses);
  const successes = answers.filter(([status]) => Number(status) < 400);
  const refusals = answers.filter(([status]) => Number(status) >= 400);
  return [
    `## ${prose(summary)} {#${operationId.toLowerCase()}}`,
    `\`${method.toUpperCase()} ${path}\``,
    prose(description),
    callers.length > 0 ? `Credentials: ${[...new Set(callers)].join(', ')}` : '',
    table(
      ['Parameter', 'In', 'Type', 'Required', 'Meaning'],
      parameters.map(({ name, in: place, schema, required, description: text }) => [
        `\`${name}\``,
        place,
        cell(typeOf(schema)),
        required ? 'yes' : '',
        cell(meaningOf(schema, text)),
      ]),
    ),
    ...(requestBody ? ['**Request**', ...bodyOf(requestBody.content)] : []),
    ...successes.flatMap(([status, { description: text, content = {} }]) => [
      `**${status}** ${prose(text)}`,
      ...bodyOf(content),
    ]),
    table(
      ['Status', 'Meaning', 'Codes'],
      refusals.map(([status, { description: text, content = {} }]) => [
        status,
        cell(prose(text)),
        codesOf(content),
      ]),
    ),
  ];
}

function tagPage({ name, description }) {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { tags }]) => tags.includes(name))
      .map(([method, operation]) => operationText(method, path, operation)),
  );
  return page(slug(name), name, [prose(description), ...operations.flat()]);
}

function schemasPage() {
  const parts = Object.entries(schemas).map(([name, schema]) => [
    `## ${name} {#${name.toLowerCase()}}`,
    prose(schema.description),
    schema.properties ? fieldsOf(schema) : typeOf(schema),
  ]);
  return page('schemas', 'Schemas', ['The objects of requests and answers.', ...parts.flat()]);
}

function indexPage() {
  const rows = document.tags.map(({ name, description }) => [
    `[${name}](./${slug(name)})`,
    cell(description),
  ]);
  return page('index', 'API', [
    prose(document.info.description),
    'The document itself is `openapi.json` in the repository, and `/api/docs-json` of a running service, which also has a',
    'Swagger UI at `/api/docs`.',
    '## Credentials',
    table(
      ['Name', 'Sent as', 'Meaning'],
      Object.entries(securitySchemes).map(([name, { scheme, type, name: header, description }]) => [
        `\`${name}\``,
        type === 'http' ? `\`Authorization: Bearer\` (${scheme})` : `\`${header}\``,
        cell(description),
      ]),
    ),
    '## Operations',
    table(
      ['Group', 'What it is about'],
      [...rows, ['[Schemas](./schemas)', 'The objects of requests and answers.']],
    ),
  ]);
}

const page = (name, title, parts) => ({
  params: { page: name, title },
  content: [`# ${title}`, ...parts].filter((part) => part !== '').join('\n\n'),
});

/** A page for each group of operations, one for the schemas, and one that leads to them. */
export const apiPages = () => [indexPage(), ...document.tags.map(tagPage), schemasPage()];
