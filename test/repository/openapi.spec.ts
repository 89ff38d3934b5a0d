import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { problemWith } from '../support/contract.js';

interface Problem {
  status: number;
  code: string;
}
interface Schema {
  description?: string;
  enum?: string[];
  type?: string;
  nullable?: boolean;
  pattern?: string;
  format?: string;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
}
interface Operation {
  operationId: string;
  parameters?: { name: string; schema: Schema }[];
  requestBody?: object;
  responses: Record<string, Response>;
}
interface Response {
  content?: Record<string, { examples?: Record<string, { $ref: string }> }>;
}
const document = JSON.parse(readFileSync('openapi.json', 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    examples: Record<string, { value: Problem }>;
  };
};
const { schemas } = document.components;
/** Without what only names the errors of a route. */
const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !/^console\/web\/|\.(spec|decorator|controller)\.ts$/.test(file))
  .map((file) => readFileSync(`src/${file}`, 'utf8'))
  .join('\n');

/** The names of the classes that extend this one, and of those that extend them. */
function subclasses(name: string): string[] {
  const own = [...source.matchAll(new RegExp(`class (\\w+) extends ${name}\\b`, 'g'))].map(
    ([, sub]) => sub as string,
  );
  return own.flatMap((sub) => [sub, ...subclasses(sub)]);
}

/** Not in the document: what comes before a route is known or from the console's files, and a special ServiceUnavailable. */
const OF_NO_OPERATION = [
  'ConsoleNotBuilt',
  'HeadersTooLarge',
  'MethodNotAllowed',
  'NoTurn',
  'OperationClosed',
  'RequestTimedOut',
];

/** The classes of the examples. An example of a class with several has its text in its name. */
const documented = new Set(
  Object.keys(document.components.examples).map((name) => name.split('.')[0] as string),
);

describe('the errors in openapi.json', () => {
  it('are those of the classes', () => {
    expect([...documented, ...OF_NO_OPERATION].sort()).toEqual(subclasses('ServiceError').sort());
  });

  it.each([...documented])('%s is thrown somewhere', (name) => {
    expect(source).toMatch(new RegExp(`(?<!example[^\n=]* = )new ${name}\\(|\\b${name}\\.example\\b`));
  });

  it('stand under their status', () => {
    const listed = Object.values(document.paths)
      .flatMap((item) => Object.values(item))
      .flatMap(({ operationId, responses }) =>
        Object.entries(responses).flatMap(([status, { content }]) =>
          Object.values(content?.['application/problem+json']?.examples ?? {}).map(({ $ref }) => ({
            operationId,
            status: Number(status),
            problem: document.components.examples[$ref.split('/').at(-1) as string]?.value,
          })),
        ),
      );
    expect(listed.filter(({ status, problem }) => problem?.status !== status)).toEqual([]);
  });
});

/** Every object of the document with its path; examples are data, and left out. */
function* objectsOf(
  value: unknown,
  keys: string[] = [],
): Generator<[keys: string[], object: Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  yield [keys, value as Record<string, unknown>];
  for (const [key, child] of Object.entries(value))
    if (key !== 'example' && key !== 'examples') yield* objectsOf(child, [...keys, key]);
}

/** Paths of the objects that have what a generator of clients fails on. */
const withDefect = (isDefect: (schema: Record<string, unknown>, path: string) => boolean): string[] =>
  [...objectsOf(document)]
    .map(([keys, schema]) => [`#/${keys.join('/')}`, schema] as const)
    .filter(([path, schema]) => isDefect(schema, path))
    .map(([path]) => path);

describe('the examples in openapi.json', () => {
  it('are what their schemas ask for', () => {
    const { examples } = document.components;
    const problems = [...objectsOf(document)].flatMap(([keys, media]) => {
      if (!('schema' in media) || keys.at(-2) !== 'content') return [];
      const named = Object.values(
        (media.examples ?? {}) as Record<string, { $ref?: string; value?: unknown }>,
      );
      const values = named.map(({ $ref, value }) =>
        $ref === undefined ? value : examples[$ref.split('/').at(-1) as string]?.value,
      );
      return [...values, ...('example' in media ? [media.example] : [])]
        .map((value) => problemWith(value, [...keys, 'schema']))
        .filter((problem) => problem !== undefined)
        .map((problem) => `${keys.join(' ')}: ${problem}`);
    });
    expect(problems).toEqual([]);
  });
});

describe('whole numbers in openapi.json', () => {
  it('are of 64 bits wherever they may exceed 31: Java, Go and Rust choose their types by it', () => {
    const narrow = withDefect(
      ({ type, format, maximum = Infinity }) =>
        type === 'integer' && format !== 'int64' && (maximum as number) > 2 ** 31 - 1,
    );
    expect(narrow).toEqual([]);
  });
});

describe('the codes of errors in openapi.json', () => {
  it('are open: a client that was generated earlier takes a code that a later version adds', () => {
    const codes = Object.values(schemas).flatMap(({ properties = {} }) =>
      'title' in properties ? [properties.code] : [],
    );
    expect(codes).toHaveLength(3);
    for (const code of codes) expect(code).toMatchObject({ type: 'string' });
    for (const code of codes) expect(code).not.toHaveProperty('enum');
  });
});

describe('the events in openapi.json', () => {
  it('have one schema for each type, told apart by it: Rust cannot read them by a discriminator object', () => {
    const { oneOf = [], ...event } = schemas.EventDto as Schema & { oneOf?: { $ref: string }[] };
    expect(event).not.toHaveProperty('discriminator');
    const types = oneOf.map(({ $ref }) => schemas[$ref.split('/').at(-1) as string]?.properties?.type?.enum);
    for (const values of types) expect(values).toHaveLength(1);
    expect(types.flat()).toEqual(schemas.EventType?.enum);
  });
});

describe('null in openapi.json', () => {
  it('is said by `nullable` beside a type or `allOf`, never both, and not in an enumeration: generators read no more', () => {
    expect(withDefect(({ enum: values }) => Array.isArray(values) && values.includes(null))).toEqual([]);
    expect(
      withDefect(({ nullable, type, allOf }) => nullable === true && Boolean(type) === Boolean(allOf)),
    ).toEqual([]);
    expect(withDefect(({ nullable, $ref }) => nullable === true && $ref !== undefined)).toEqual([]);
  });
});

describe('the bodies of requests in openapi.json', () => {
  /** Of these others make the form. */
  const FOREIGN = ['LitellmLogDto', 'PriceMapEntryDto'];
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    for (const [, { $ref }] of objectsOf(value)) {
      const name = String($ref).split('/').at(-1) as string;
      if (!(name in schemas) || names.has(name)) continue;
      names.add(name);
      visit(schemas[name]);
    }
  };
  for (const item of Object.values(document.paths))
    for (const { requestBody } of Object.values(item)) visit(requestBody);

  it('allow no field that is not described, as the service refuses it', () => {
    const open = [...names].filter((name) => {
      const { properties, additionalProperties } = schemas[name] as Schema;
      return properties !== undefined && additionalProperties !== false;
    });
    expect(open.sort()).toEqual(FOREIGN);
    for (const name of FOREIGN) expect(schemas[name]?.additionalProperties).toBe(true);
  });

  it('may have null for each optional list or object: Java sends an empty one for what cannot be null', () => {
    const empty = [...names].flatMap((name) => {
      const { properties = {}, required = [] } = schemas[name] as Schema;
      return Object.entries(properties)
        .filter(([field, { type, additionalProperties: more }]) => {
          return !required.includes(field) && (type === 'array' || more !== undefined);
        })
        .filter(([, { nullable }]) => nullable !== true)
        .map(([field]) => `${name}.${field}`);
    });
    expect(empty).toEqual([]);
  });

  it('say of every text what it may be, except where people write it', () => {
    const WRITTEN_BY_PEOPLE = ['description', 'key', 'models', 'notes', 'q', 'reason', 'search'];
    const parameters = Object.values(document.paths)
      .flatMap((item) => Object.values(item))
      .flatMap((operation) => operation.parameters ?? [])
      .map(({ name, schema }) => [name, schema] as const);
    const fields = [...names].flatMap((name) => Object.entries(schemas[name]?.properties ?? {}));
    const free = [...parameters, ...fields]
      .filter(([, { type, pattern, format }]) => type === 'string' && !pattern && !format)
      .map(([name]) => name);
    const foreign = FOREIGN.flatMap((name) => Object.keys(schemas[name]?.properties ?? {}));
    expect(free.filter((name) => ![...WRITTEN_BY_PEOPLE, ...foreign].includes(name))).toEqual([]);
  });

  it('have no alternatives beside their fields, for which Java and Rust drop the fields', () => {
    expect(withDefect(({ properties, oneOf, anyOf }) => Boolean(properties && (oneOf ?? anyOf)))).toEqual([]);
    expect(schemas.InitializeSessionDto?.description).toContain('`estimatedTokens`; ');
  });

  it('have names wherever they are objects, also in lists', () => {
    const inline = withDefect(
      ({ properties }, path) => properties !== undefined && !/^#\/components\/schemas\/\w+$/.test(path),
    );
    expect(inline).toEqual([]);
  });
});

describe('the enumerations in openapi.json', () => {
  const named = Object.entries(document.components.schemas).filter(([, schema]) => schema.enum);

  it('have names', () => {
    const inline: unknown[] = [];
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      const isNamed = named.some(([, schema]) => schema === value);
      // One value is a constant.
      if ('enum' in value && Array.isArray(value.enum) && value.enum.length > 1 && !isNamed)
        inline.push(value);
      Object.values(value).forEach(visit);
    };
    visit(document);
    expect(inline).toEqual([]);
  });

  it('have one name each', () => {
    const values = named.map(([, schema]) => [...(schema.enum ?? [])].sort().join());
    expect(new Set(values).size).toBe(values.length);
  });
});
